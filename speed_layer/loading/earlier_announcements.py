"""What had been announced of the epochs when this process started."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing

import structlog

from oryx_py.errors import BadMessage, LogGap
from oryx_py.messages import Progress, decode
from oryx_py.model.epochs.announcements import Announcements, epochs_to_hold, going_back
from oryx_py.model.epochs.registry import EpochStarted
from oryx_py.ports import Clock, Consumer, Record, TopicAdmin
from oryx_py.runtime.announcements import PROGRESS_KEY, read_announcements
from oryx_py.runtime.checkpoints import Checkpoints
from oryx_py.runtime.restored import Together, seeded
from speed_layer.limits import Topics

__all__ = ["announced_until_now", "progress_of"]

log = structlog.get_logger("speed")


def announced_until_now(
    epochs: Sequence[EpochStarted],
    topics: Topics,
    *,
    admin: TopicAdmin,
    new_consumer: Callable[[str | None], Consumer],
    clock: Clock,
    reader: Checkpoints | None,
    overlap_s: float,
) -> Announcements:
    """Read what was announced, going back among the epochs until a live one is found, or nothing older is there.

    Of an epoch that has a checkpoint, what had been announced before stands in that. So where the newest has been live
    for long, reading begins there.

    Args:
        epochs: of the registry, ascending.
        topics, admin, new_consumer, clock: what is read, and how.
        reader: of checkpoints, None where there are none.
        overlap_s: how long an epoch is held after the next is live.

    Raises:
        Transient: broker or store do not answer.
    """
    known = {} if reader is None else reader.covered_of(epochs)
    with closing(new_consumer(None)) as consumer:
        while True:
            first = admin.start_offsets(topics.update)
            try:
                return _announced_since(first, epochs, known, topics, admin, consumer, clock, overlap_s)
            except LogGap:
                if admin.start_offsets(topics.update) == first:
                    raise
                log.info("update_topic_was_trimmed_meanwhile")


def progress_of(epoch: int, records: Iterable[Record]) -> Iterator[Progress]:
    """Iterate over the ``PROGRESS`` of an epoch among records of the update topic; the others are not decoded."""
    for record in records:
        if record.key != PROGRESS_KEY:
            continue
        try:
            progress = decode(record.key, record.value, record.headers)
        except BadMessage:
            continue
        if isinstance(progress, Progress) and progress.epoch == epoch:
            yield progress


def _announced_since(
    first: Mapping[int, int],
    epochs: Sequence[EpochStarted],
    known: Mapping[int, Together],
    topics: Topics,
    admin: TopicAdmin,
    consumer: Consumer,
    clock: Clock,
    overlap_s: float,
) -> Announcements:
    end, partitions = admin.end_offsets(topics.update), range(topics.input_partitions)
    announcements, begin = Announcements(len(end)), dict(end)
    for oldest in going_back(epochs, known):
        checkpoint = known.get(oldest.epoch)
        start = oldest.start if checkpoint is None else checkpoint.covered.update
        begin = {p: max(min(start.get(p, 0), offset), first[p]) for p, offset in begin.items()}
        if oldest is epochs[-1] and checkpoint is None and len(epochs) > 1:
            continue  # it need not be live yet, and then the one before is held too
        announcements = Announcements(len(end))
        for epoch in (epoch for epoch in known if epoch >= oldest.epoch):
            seeded(announcements, known[epoch])
        read_announcements(consumer, topics.update, epochs, begin, end, clock=clock, known=announcements)
        if begin == first or _is_settled(epochs, oldest, announcements, partitions, clock.now_ms(), overlap_s):
            break
    return announcements


def _is_settled(
    epochs: Sequence[EpochStarted],
    oldest: EpochStarted,
    announcements: Announcements,
    partitions: Sequence[int],
    now_ms: int,
    overlap_s: float,
) -> bool:
    """Say whether what is known from this epoch on says which epochs are held."""
    if oldest is not epochs[-1]:
        # An older epoch may be announced further on, and go live, after a newer one that was announced before.
        return any(announcements.of(epoch.epoch).is_live(partitions) for epoch in epochs if epoch.epoch >= oldest.epoch)
    held = epochs_to_hold(epochs, announcements, partitions, now_ms=now_ms, overlap_s=overlap_s)
    return held == [oldest]
