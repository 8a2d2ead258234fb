"""Reads from the update topic what has been announced of each epoch."""

from collections.abc import Mapping

from oryx_py.errors import BadMessage
from oryx_py.messages import Progress, decode
from oryx_py.model.epochs import Announcements
from oryx_py.ports import Clock, Consumer
from oryx_py.runtime.reading import records_between

__all__ = ["read_announcements"]

PROGRESS_KEY = b"PROGRESS"


def read_announcements(
    consumer: Consumer,
    topic: str,
    start: Mapping[int, int],
    end: Mapping[int, int],
    *,
    clock: Clock,
    patience_s: float = 30.0,
    known: Announcements | None = None,
) -> Announcements:
    """Return all ``PROGRESS`` of the update topic between two sets of offsets; only their messages are decoded.

    Args:
        consumer: whose assignment this replaces; empty afterwards.
        topic: the update topic.
        start: by partition, where to begin.
        end: by partition, the topic's end as it was looked up.
        clock: for the patience.
        patience_s: longest time without any answer from the broker.
        known: to which they are added; None for nothing.

    Raises:
        BrokerUnavailable: nothing came for so long.
        LogGap: the topic no longer reaches back so far.
    """
    announcements = Announcements() if known is None else known
    for record in records_between(consumer, topic, start, end, clock=clock, patience_s=patience_s):
        if record.key == PROGRESS_KEY:
            try:
                progress = decode(record.key, record.value, record.headers)
            except BadMessage:
                continue
            if isinstance(progress, Progress):
                announcements.add(progress, record.timestamp_ms)
    return announcements
