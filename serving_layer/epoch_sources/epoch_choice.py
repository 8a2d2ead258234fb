"""Which epochs to hold, which to serve, and what is waited for. Pure.

1. A start serves the newest epoch that is live, since the speed layer keeps that one up to date too; while none is, the
   one before the newest; if there is only one, that.
2. Beside the epoch served one is held: the newest that is live, since the speed layer leaves what is served for that
   one; while none is, the newest. One that is live and under way is not put aside for a newer one, else epochs that
   come faster than one is loaded would never be served; but for one that an operator went back to, once that is live.
3. An epoch is served once everything that the update topic had for it when it was loaded is applied, and, where one is
   served already, all input partitions are live in it and it is nowhere behind the other, so that nobody's own write
   disappears. Without a speed layer (``serving.require_live = false``) liveness is not waited for.
4. An epoch whose generation is refused is as if it were not there, until it is tried again.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from oryx_py.model.epochs.announcements import Announcements, epochs_to_hold
from oryx_py.model.epochs.registry import EpochStarted

__all__ = ["Standing", "first_choice", "held_epochs", "may_serve", "missing_partitions"]


@dataclass(frozen=True, slots=True)
class Standing:
    """How far an epoch that is held has come.

    ``caught_up``: all that the update topic had when following began is applied. ``progress`` and ``live``: by update
    partition, what ``PROGRESS`` said, by input partition.
    """

    epoch: int
    caught_up: bool
    progress: Sequence[Mapping[int, int]]
    live: Sequence[Mapping[int, bool]]


def first_choice(
    epochs: Sequence[EpochStarted], announcements: Announcements, partitions: Sequence[int], *, require_live: bool
) -> int | None:
    """Return the epoch that a start serves first, None where there is none.

    Args:
        epochs: of the registry, ascending, without those refused.
        announcements: read from the update topic at least since the start of the newest that is live.
        partitions: the input topic's.
        require_live: whether there is a speed layer to wait for.
    """
    if not epochs:
        return None
    if not require_live or announcements.of(epochs[-1].epoch).is_live(partitions):
        return epochs[-1].epoch
    # By the rule by which the speed layer begins; how long that keeps the older of two does not matter here.
    return epochs_to_hold(epochs, announcements, partitions, now_ms=0, overlap_s=0)[0].epoch


def held_epochs(
    epochs: Sequence[EpochStarted],
    refused: Collection[int],
    *,
    served: int | None,
    first: int | None,
    live: Collection[int] = (),
    under_way: Collection[int] = (),
) -> list[EpochStarted]:
    """Return the epochs to hold, at most two, in the order in which to load them.

    Args:
        epochs: of the registry, ascending.
        refused: epochs that cannot be loaded now.
        served: the epoch served, None where none is yet.
        first: the epoch to be served first, where none is yet.
        live: epochs announced live in all input partitions; all, where nobody announces anything.
        under_way: epochs held already that are being loaded or brought up to date.
    """
    usable = [entry for entry in epochs if entry.epoch not in refused]
    keep = served if served is not None else first
    held = [entry for entry in epochs if entry.epoch == served]
    held += [entry for entry in usable if entry.epoch == keep and keep != served]
    newer = [entry for entry in usable if keep is None or entry.epoch > keep]
    return held + _one_of([entry for entry in newer if entry.epoch in live] or newer, {*under_way}.intersection(live))


def _one_of(entries: Sequence[EpochStarted], kept: Collection[int]) -> list[EpochStarted]:
    """Return the newest, or the one of those to be ``kept``, unless an operator went back to one after it."""
    for at, entry in enumerate(entries):
        if entry.epoch in kept and not any(after.reason for after in entries[at + 1 :]):
            return [entry]
    return list(entries[-1:])


def may_serve(
    candidate: Standing,
    served: Standing | None,
    partitions: Collection[int],
    *,
    require_live: bool,
    first: int | None,
) -> bool:
    """Say whether to serve ``candidate`` from now on, instead of what is ``served``, if anything is.

    ``first`` is the epoch chosen to begin with, which need not be live.
    """
    if not candidate.caught_up or (served is not None and candidate.epoch <= served.epoch):
        return False
    if not require_live or (served is None and candidate.epoch == first):
        return True
    return not missing_partitions(candidate, served, partitions)


def missing_partitions(candidate: Standing, served: Standing | None, partitions: Collection[int]) -> list[int]:
    """Return the input partitions, ascending, in which ``candidate`` is not live or is behind what is ``served``."""

    def is_missing(partition: int) -> bool:
        return any(
            not live.get(partition, False) or progress.get(partition, 0) < behind.get(partition, 0)
            for live, progress, behind in zip(
                candidate.live,
                candidate.progress,
                served.progress if served is not None else [{}] * len(candidate.live),
                strict=True,
            )
        )

    return sorted(partition for partition in partitions if is_missing(partition))
