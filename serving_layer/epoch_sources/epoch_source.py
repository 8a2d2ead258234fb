"""Where epochs come from: a registry of our own, or an Oryx 2 batch layer."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from oryx_py.messages import Progress, Update
from oryx_py.model.epochs.registry import EpochStarted
from oryx_py.ports import Record
from serving_layer.epoch_sources.epoch_choice import Standing
from serving_layer.epoch_sources.recent_known_items import RecentKnownItems
from serving_layer.model.served_model import ServedModel

__all__ = ["EpochReader", "EpochSource", "LoadedEpoch", "Watch"]


class Watch(Protocol):
    """Whoever waits for an epoch to be loaded; any thread may call it."""

    def on_percent(self, percent: int) -> None:
        """Hear how far it is."""
        ...

    def is_cancelled(self) -> bool:
        """Say whether nobody waits any more."""
        ...


class EpochReader(Protocol):
    """Says which records are an epoch's; owned by the thread that reads."""

    def is_model(self, record: Record) -> bool:
        """Say whether a record speaks of another epoch."""
        ...

    def read(self, record: Record) -> Update | None:
        """Return what a record says, None where it is not the epoch's.

        Raises:
            BadMessage: it cannot be read.
        """
        ...


@dataclass(frozen=True, slots=True)
class LoadedEpoch:
    """An epoch that is loaded: its model, by update partition where to go on, what was left out on the way.

    ``reader``: which records from there on are the epoch's. ``bad``: messages that could not be read, and the first's
    reason.
    """

    model: ServedModel
    positions: Mapping[int, int]
    reader: EpochReader
    bad: tuple[int, str] = (0, "")


class EpochSource(Protocol):
    """Knows which epochs there are, which to hold and when to serve one, and loads them.

    The manager calls `look` and `load` each in a thread, never two of one kind at once, and everything else on its loop
    while no `look` runs, but for `hear`, which it may call meanwhile.
    """

    @property
    def tracks_input(self) -> bool:
        """Whether epochs know how much of the input is in them."""
        ...

    def look(self, closed: Collection[int], *, is_quiet: bool) -> None:
        """Find out which epochs there are; blocks.

        Args:
            closed: epochs that cannot be loaded now.
            is_quiet: an epoch is served and followed, and its messages have spoken of no other since the last look.

        Raises:
            OryxError: that could not be found out now.
        """
        ...

    def hear(self, progress: Progress, update_partition: int) -> None:
        """Take in what the speed layer says of any epoch, from any follower; repetition does not matter."""
        ...

    def wanted(
        self, closed: Collection[int], served: int | None, under_way: Collection[int] = ()
    ) -> Sequence[EpochStarted]:
        """Return the epochs to hold, at most two, in the order in which to load them.

        Args:
            closed: epochs that cannot be loaded now.
            served: the epoch served, None where none is yet.
            under_way: epochs held beside it that are being loaded or brought up to date.
        """
        ...

    def load(self, entry: EpochStarted, watch: Watch, *, recent: RecentKnownItems | None) -> LoadedEpoch | None:
        """Load an epoch; blocks. Returns None where that was cancelled.

        Args:
            entry: which.
            watch: who waits.
            recent: what came to be known in the one that is served meanwhile; None where there is none.

        Raises:
            OryxError: it cannot be loaded.
        """
        ...

    def may_serve(self, candidate: Standing, served: Standing | None) -> bool:
        """Say whether to serve an epoch from now on, instead of what is served, if anything is."""
        ...

    def missing(self, candidate: Standing, served: Standing | None) -> Sequence[int]:
        """Return the input partitions that keep an epoch from being served."""
        ...

    def covered(self, standing: Standing) -> Mapping[int, int]:
        """Return by input partition the offset below which everything is in an epoch."""
        ...
