"""Reads from the update topic what has been announced of each epoch."""

from collections.abc import Mapping, Sequence

from oryx_py.errors import BadMessage
from oryx_py.messages import Progress, decode
from oryx_py.model.epochs.announcements import Announcements
from oryx_py.model.epochs.registry import EpochStarted
from oryx_py.ports import Clock, Consumer
from oryx_py.runtime.reading import records_between

__all__ = ["read_announcements"]

PROGRESS_KEY = b"PROGRESS"


def read_announcements(
    consumer: Consumer,
    topic: str,
    epochs: Sequence[EpochStarted],
    start: Mapping[int, int],
    end: Mapping[int, int],
    *,
    clock: Clock,
    patience_s: float = 30.0,
    known: Announcements | None = None,
) -> Announcements:
    """Return all ``PROGRESS`` of these epochs between two sets of offsets; only their messages are decoded.

    What lies below an epoch's start is none of its own, whatever number it has: somebody has sent it whose epoch the
    registry never took, and later gave that number to another.

    Args:
        consumer: whose assignment this replaces; empty afterwards.
        topic: the update topic.
        epochs: of the registry; others are left out.
        start: by partition, where to begin.
        end: by partition, the topic's end as it was looked up.
        clock: for the patience.
        patience_s: longest time without any answer from the broker.
        known: to which they are added; None for nothing.

    Raises:
        BrokerUnavailable: nothing came for so long.
        LogGap: the topic no longer reaches back so far.
    """
    announcements = Announcements(len(end)) if known is None else known
    begins = {entry.epoch: entry.start for entry in epochs}
    for record in records_between(consumer, topic, start, end, clock=clock, patience_s=patience_s):
        if record.key == PROGRESS_KEY:
            try:
                progress = decode(record.key, record.value, record.headers)
            except BadMessage:
                continue
            if not isinstance(progress, Progress):
                continue
            begin = begins.get(progress.epoch)
            if begin is not None and record.offset >= begin.get(record.partition, 0):
                announcements.add(progress, record.timestamp_ms, record.partition)
            else:
                announcements.note(progress, record.partition)
    return announcements
