"""What the update topic has announced of each epoch, and which epochs a starting process holds. Pure."""

from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from oryx_py.messages import Progress
from oryx_py.model.epochs.registry import EpochStarted
from oryx_py.model.epochs.terms import Terms

__all__ = ["Announced", "Announcements", "epochs_in_use", "epochs_to_hold", "going_back"]


@dataclass(slots=True)
class Announced:
    """What ``PROGRESS`` messages have said of one epoch, in every update partition."""

    input: dict[int, int] = field(default_factory=dict)
    """By input partition: the offset below which every reader has taken all updates."""
    live: set[int] = field(default_factory=set)
    """Input partitions announced live."""
    live_since_ms: int | None = None
    """Kafka's time of the message that announced the newest live partition."""

    def is_live(self, partitions: Iterable[int]) -> bool:
        """Say whether every input partition is live."""
        return self.live.issuperset(partitions)


class Announcements:
    """Collects ``PROGRESS`` messages by epoch.

    A former owner's may have come in one update partition before it was fenced, and in another after it, where readers
    have dropped it and perhaps updates below it. So what counts is what *every* update partition has announced; a
    process that died while it announced something announces that once more.

    Args:
        update_partitions: of the update topic.
    """

    def __init__(self, update_partitions: int = 1) -> None:
        self._epochs: list[dict[int, Announced]] = [{} for _ in range(update_partitions)]
        self._terms = [Terms(1, 1) for _ in range(update_partitions)]

    def seed(self, terms: Mapping[int, int]) -> None:
        """Take in the terms by input partition that were named before what is added."""
        for known in self._terms:
            for partition, term in terms.items():
                known.note(term, [partition], 0)

    def add(self, progress: Progress, timestamp_ms: int, update_partition: int | None = None) -> None:
        """Take one message; those of an update partition in its order; repetition does not matter.

        Args:
            progress: what it says.
            timestamp_ms: of its record.
            update_partition: that it is in; None for all.
        """
        for number in range(len(self._epochs)) if update_partition is None else (update_partition,):
            self._add(progress, timestamp_ms, number)

    def note(self, progress: Progress, update_partition: int) -> None:
        """Take in who speaks for which input partitions, and nothing else of a message."""
        self._terms[update_partition].note(progress.term, progress.partitions, 0)

    def of(self, epoch: int) -> Announced:
        """Return what is known of an epoch; empty where nothing was announced."""
        found = [of_partition.get(epoch, Announced()) for of_partition in self._epochs]
        inputs = set.intersection(*(set(announced.input) for announced in found))
        live = set.intersection(*(announced.live for announced in found))
        since = [announced.live_since_ms for announced in found if announced.live_since_ms is not None]
        return Announced(
            {partition: min(announced.input[partition] for announced in found) for partition in sorted(inputs)},
            live,
            max(since) if live else None,
        )

    def live(self, partitions: Collection[int]) -> set[int]:
        """Return the epochs that are live in these input partitions, all of them."""
        return {epoch for epoch in set().union(*self._epochs) if self.of(epoch).is_live(partitions)}

    def drop_below(self, epoch: int) -> None:
        """Forget what was announced of the epochs below this one; who speaks for which partitions is kept."""
        for of_partition in self._epochs:
            for other in [other for other in of_partition if other < epoch]:
                del of_partition[other]

    def announced_after(self, epoch: int) -> set[int]:
        """Return the input partitions of which later epochs were announced."""
        later = {other for of_partition in self._epochs for other in of_partition if other > epoch}
        return {partition for other in later for partition in self.of(other).input}

    def _add(self, progress: Progress, timestamp_ms: int, update_partition: int) -> None:
        terms = self._terms[update_partition]
        terms.note(progress.term, progress.partitions, 0)
        announced = self._epochs[update_partition].setdefault(progress.epoch, Announced())
        for partition, offset in progress.input.items():
            if not terms.has_ended(progress.term, partition, 0):
                announced.input[partition] = max(offset, announced.input.get(partition, 0))
        new = {p for p, live in progress.live.items() if live and not terms.has_ended(progress.term, p, 0)}
        if new - announced.live:
            announced.live |= new
            announced.live_since_ms = timestamp_ms


def going_back(epochs: Sequence[EpochStarted], never_passed: Container[int] = ()) -> Iterator[EpochStarted]:
    """Iterate over epochs back from the newest, to look at what was announced since each, until that is enough.

    While nobody makes epochs live, thousands come, and each look reads all from there on. So it goes at twice the
    distance each time, and in the end to the oldest.

    Args:
        epochs: of the registry, ascending.
        never_passed: epochs that are among them in any case.
    """
    for distance, entry in enumerate(reversed(epochs)):
        if not distance & (distance - 1) or entry.epoch in never_passed or entry is epochs[0]:
            yield entry


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
