"""Reads from the update topic what has been announced of each epoch."""

from collections.abc import Mapping

from oryx_py.errors import BadMessage, BrokerUnavailable
from oryx_py.messages import Progress, decode
from oryx_py.model.epochs import Announcements
from oryx_py.ports import Clock, Consumer, EndOfPartition

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
) -> Announcements:
    """Return all ``PROGRESS`` of the update topic between two sets of offsets; only their messages are decoded.

    Args:
        consumer: whose assignment this replaces; empty afterwards.
        topic: the update topic.
        start: by partition, where to begin.
        end: by partition, the topic's end as it was looked up.
        clock: for the patience.
        patience_s: longest time without any answer from the broker.

    Raises:
        BrokerUnavailable: nothing came for so long.
        LogGap: the topic no longer reaches back so far.
    """
    announcements = Announcements()
    unread = {partition for partition, offset in end.items() if start.get(partition, 0) < offset}
    consumer.assign({(topic, partition): start.get(partition, 0) for partition in unread})
    deadline = clock.monotonic() + patience_s
    while unread:
        events = consumer.poll(10_000, 0.5)
        if events:
            deadline = clock.monotonic() + patience_s
        elif clock.monotonic() > deadline:
            raise BrokerUnavailable(f"nothing could be read from {topic} for {patience_s:g} s")
        for event in events:
            if isinstance(event, EndOfPartition):
                unread.discard(event.partition)
            elif event.key == PROGRESS_KEY:
                try:
                    progress = decode(event.key, event.value, event.headers)
                except BadMessage:
                    continue
                if isinstance(progress, Progress):
                    announcements.add(progress, event.timestamp_ms)
        for (_, partition), position in consumer.positions().items():
            if position >= end[partition]:
                unread.discard(partition)
    consumer.assign({})
    return announcements
