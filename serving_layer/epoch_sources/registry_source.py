"""Epochs of our own batch layer: as the registry says, from the artefact store, live when the speed layer says so."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from oryx_py.messages import Progress, Update, decode
from oryx_py.model.epochs.announcements import Announcements
from oryx_py.model.epochs.registry import EpochStarted, Registry
from oryx_py.model.generations.generation import Generation
from oryx_py.model.state.model_state import ModelState
from oryx_py.numerics.fold_in.dense import Prior
from oryx_py.ports import ArtefactStore, Clock, Consumer, Record, TopicAdmin
from oryx_py.runtime.checkpoints import Checkpoints
from serving_layer.epoch_sources.earlier_announcements import earlier_announcements
from serving_layer.epoch_sources.epoch_choice import Standing, first_choice, held_epochs, may_serve, missing_partitions
from serving_layer.epoch_sources.epoch_source import LoadedEpoch, Watch
from serving_layer.epoch_sources.recent_known_items import RecentKnownItems
from serving_layer.model.served_model import served_state

__all__ = ["OwnReader", "RegistryReader", "RegistrySource"]

_CHECKED_PERCENT = 80
"""Of loading; the rest is the index."""
_MODEL_REF, _PROGRESS = b"MODEL-REF", b"PROGRESS"


class RegistryReader(Protocol):
    """Reads the registry (`oryx_py.adapters.commit_logs.registry_log.RegistryLog`)."""

    def read(self, seen: Registry | None = None) -> Registry:
        """Return the registry now; with what was ``seen`` before, only what came since is read."""
        ...


class _NobodyWaits(Exception):
    """Of a load: its epoch was let go of."""


class OwnReader:
    """Reads the messages that carry an epoch's number."""

    def __init__(self, epoch: int) -> None:
        self._header = b"%d" % epoch

    def is_model(self, record: Record) -> bool:
        """Say whether a record speaks of another epoch: the registry may have a newer one."""
        return record.key == _MODEL_REF

    def read(self, record: Record) -> Update | None:
        """Return what a record says, None where it is of another epoch; ``PROGRESS`` of any says who may speak.

        Raises:
            BadMessage: it cannot be read.
        """
        of_epoch = next((value for name, value in record.headers if name == "epoch"), None)
        if of_epoch is not None and of_epoch != self._header and record.key != _PROGRESS:
            return None
        return decode(record.key, record.value, record.headers)


class RegistrySource:
    """Epochs by the registry; see `EpochSource` for who calls what.

    Args:
        registry: of epochs.
        store: the generations.
        admin, new_consumer, clock: the ports, for what had been announced before the start.
        topic: the update topic.
        update_partitions: of that topic.
        partitions: the input topic's.
        require_live: whether there is a speed layer to wait for.
        checkpoints: of the speed layer; None for none.
    """

    tracks_input = True

    def __init__(
        self,
        *,
        registry: RegistryReader,
        store: ArtefactStore,
        admin: TopicAdmin,
        new_consumer: Callable[[], Consumer],
        clock: Clock,
        topic: str,
        update_partitions: int,
        partitions: Sequence[int],
        require_live: bool,
        checkpoints: Checkpoints | None = None,
    ) -> None:
        self._checkpoints = checkpoints
        self._reader, self._store = registry, store
        self._admin, self._new_consumer, self._clock = admin, new_consumer, clock
        self._topic, self._update_partitions, self._partitions = topic, update_partitions, partitions
        self._require_live = require_live
        self._registry = Registry()
        self._announcements: Announcements | None = None
        self._heard = Announcements(update_partitions)
        """What followers have come upon; the loop's, where `_announcements` is read in a thread, once."""
        self._first: int | None = None
        self._serves = False

    def look(self, closed: Collection[int], *, is_quiet: bool) -> None:  # noqa: ARG002 - a look costs next to nothing
        """Read the registry and, before the first epoch is chosen, what was announced."""
        registry = self._reader.read(self._registry)
        self._choose_anew(closed)
        if self._announcements is None and registry.epochs:
            self._announcements = self._announced(registry.epochs)
        self._registry = registry

    def hear(self, progress: Progress, update_partition: int) -> None:
        """Take in what is announced; of an epoch that the registry does not have, only who speaks.

        What is missed, as while a checkpoint makes up for it, matters little: who keeps an epoch says so each second.
        """
        newest = self._registry.newest_epoch
        if newest is not None and progress.epoch <= newest.epoch:
            self._heard.add(progress, 0, update_partition)
        else:
            self._heard.note(progress, update_partition)

    def wanted(
        self, closed: Collection[int], served: int | None, under_way: Collection[int] = ()
    ) -> Sequence[EpochStarted]:
        """Return the epochs to hold, in the order in which to load them."""
        epochs, self._serves = self._registry.epochs, served is not None
        self._choose_anew(closed)
        if self._announcements is not None and not self._serves and self._first is None:
            usable = [entry for entry in epochs if entry.epoch not in closed]
            self._first = first_choice(usable, self._announcements, self._partitions, require_live=self._require_live)
        self._heard.drop_below(served or 0)
        live = self._heard.live(self._partitions) if self._require_live else {entry.epoch for entry in epochs}
        return held_epochs(epochs, closed, served=served, first=self._first, live=live, under_way=under_way)

    def _choose_anew(self, closed: Collection[int]) -> None:
        """Forget the first choice where it is refused, and what it was made by: that may have been long ago."""
        if not self._serves and self._first in closed:
            self._first = self._announcements = None

    def load(
        self,
        entry: EpochStarted,
        watch: Watch,
        *,
        recent: RecentKnownItems | None,  # noqa: ARG002
    ) -> LoadedEpoch | None:
        """Check and map a generation, bring it to its newest checkpoint, and make its index."""
        try:
            return self._load(entry, watch)
        except _NobodyWaits:
            return None

    def _load(self, entry: EpochStarted, watch: Watch) -> LoadedEpoch:
        def go_on() -> None:
            if watch.is_cancelled():
                raise _NobodyWaits

        def on_checked(checked: int, size: int) -> None:
            watch.on_percent(_CHECKED_PERCENT * checked // max(size, 1))
            go_on()

        generation = Generation.open(self._store.local(entry.generation), on_checked=on_checked)
        state, start = ModelState(generation, entry.epoch, self._update_partitions), dict(entry.start)
        restored = self._checkpoints.newest(entry, generation) if self._checkpoints is not None else None
        if restored is not None:
            covered = restored.known.covered
            state.load(restored.changes, covered.input, covered.live, covered.terms)
            start |= covered.update
        go_on()
        model = served_state(state, Prior(generation.item_gram, len(generation.items), of="items"))
        return LoadedEpoch(model, start, OwnReader(entry.epoch))

    def may_serve(self, candidate: Standing, served: Standing | None) -> bool:
        """Say whether an epoch is caught up, live, and nowhere behind what is served."""
        return may_serve(candidate, served, self._partitions, require_live=self._require_live, first=self._first)

    def missing(self, candidate: Standing, served: Standing | None) -> Sequence[int]:
        """Return the partitions in which an epoch is not live, or behind."""
        return missing_partitions(candidate, served, self._partitions)

    def covered(self, standing: Standing) -> Mapping[int, int]:
        """Return by input partition what is in an epoch whatever update partition one asks."""
        return {p: min(of_update.get(p, 0) for of_update in standing.progress) for p in self._partitions}

    def _announced(self, epochs: Sequence[EpochStarted]) -> Announcements:
        if not self._require_live:
            return Announcements()
        return earlier_announcements(
            epochs,
            self._partitions,
            topic=self._topic,
            admin=self._admin,
            new_consumer=self._new_consumer,
            clock=self._clock,
            checkpoints=self._checkpoints,
        )
