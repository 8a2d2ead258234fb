"""Reads what a topic had when its end was looked up."""

from collections.abc import Iterator, Mapping

from oryx_py.errors import BrokerUnavailable
from oryx_py.ports import Clock, Consumer, EndOfPartition, Record

__all__ = ["records_between"]


def records_between(
    consumer: Consumer,
    topic: str,
    start: Mapping[int, int],
    end: Mapping[int, int],
    *,
    clock: Clock,
    patience_s: float = 30.0,
) -> Iterator[Record]:
    """Iterate over all records between two sets of offsets, each partition's in order, and perhaps some after them.

    Args:
        consumer: whose assignment this replaces; empty afterwards.
        topic: of which.
        start: by partition, where to begin; 0 where it says nothing.
        end: by partition, the topic's end as it was looked up.
        clock: for the patience.
        patience_s: longest time without any answer from the broker.

    Raises:
        BrokerUnavailable: nothing came for so long.
        LogGap: the topic no longer reaches back so far.
    """
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
            else:
                yield event
        for (_, partition), position in consumer.positions().items():
            if position >= end[partition]:
                unread.discard(partition)
    consumer.assign({})
