"""What the update topic has announced of each epoch, and which epochs a starting process holds. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from oryx_py.messages import Progress
from oryx_py.model.registry import EpochStarted

__all__ = ["Announced", "Announcements", "epochs_in_use", "epochs_to_hold"]


@dataclass(slots=True)
class Announced:
    """What ``PROGRESS`` messages have said of one epoch, over all update partitions."""

    input: dict[int, int] = field(default_factory=dict)
    """By input partition: the offset below which all updates are in the update topic."""
    live: set[int] = field(default_factory=set)
    """Input partitions announced live."""
    live_since_ms: int | None = None
    """Kafka's time of the message that announced the newest live partition."""

    def is_live(self, partitions: Iterable[int]) -> bool:
        """Say whether every input partition is live."""
        return self.live.issuperset(partitions)


class Announcements:
    """Collects ``PROGRESS`` messages by epoch."""

    def __init__(self) -> None:
        self._epochs: dict[int, Announced] = {}

    def add(self, progress: Progress, timestamp_ms: int) -> None:
        """Take one message; order and repetition do not matter."""
        announced = self._epochs.setdefault(progress.epoch, Announced())
        for partition, offset in progress.input.items():
            announced.input[partition] = max(offset, announced.input.get(partition, 0))
        new = {partition for partition, live in progress.live.items() if live} - announced.live
        if new:
            announced.live |= new
            announced.live_since_ms = timestamp_ms

    def of(self, epoch: int) -> Announced:
        """Return what is known of an epoch; empty where nothing was announced."""
        return self._epochs.get(epoch, Announced())


def epochs_to_hold(
    epochs: Sequence[EpochStarted],
    announcements: Announcements,
    partitions: Sequence[int],
    *,
    now_ms: int,
    overlap_s: float,
) -> list[EpochStarted]:
    """Return the epochs that a starting process holds, oldest first: one or two, none where there is none.

    The newest always; and below it the newest live one (else the one before it) while the newest is not live in all
    input partitions, or became so less than `overlap_s` ago, since replicas may still serve the older.

    Args:
        epochs: of the registry, ascending.
        announcements: read from the update topic at least since the start of the epoch before the newest.
        partitions: the input topic's.
        now_ms: the present, on the clock of Kafka's timestamps.
        overlap_s: how long the older epoch is kept up to date after the newer one went live.
    """
    if not epochs:
        return []
    newest = announcements.of(epochs[-1].epoch)
    settled = newest.is_live(partitions) and now_ms - (newest.live_since_ms or 0) >= overlap_s * 1000
    older = epochs[:-1]
    if settled or not older:
        return [epochs[-1]]
    live = [epoch for epoch in older if announcements.of(epoch.epoch).is_live(partitions)]
    return [(live or older)[-1], epochs[-1]]


def epochs_in_use(
    epochs: Sequence[EpochStarted],
    announcements: Announcements,
    partitions: Sequence[int],
    *,
    now_ms: int,
    overlap_s: float,
) -> list[EpochStarted]:
    """Return the epochs whose messages a process may need, now or at a later start, ascending.

    What a start holds, the one before the newest (which somebody may not have seen yet), and all since. While none is
    live, any may be the first to be: all of them. The arguments are those of `epochs_to_hold`.
    """
    if not any(announcements.of(entry.epoch).is_live(partitions) for entry in epochs):
        return list(epochs)
    held = epochs_to_hold(epochs, announcements, partitions, now_ms=now_ms, overlap_s=overlap_s)
    first = min(held[0].epoch, epochs[-2:][0].epoch)
    return [entry for entry in epochs if entry.epoch >= first]
