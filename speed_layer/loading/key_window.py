"""How an epoch learns which IDs were in the input before its first record."""

from collections.abc import Mapping

from oryx_py.errors import BadInteraction, BrokerUnavailable, LogGap
from oryx_py.events import FoldSettings
from oryx_py.messages.inbound import id_of, read_input
from oryx_py.ports import Clock, Consumer, Record
from speed_layer.epochs.repeats import Repeats

__all__ = ["read_back"]

_CHUNK = 10_000


def read_back(
    consumer: Consumer,
    topic: str,
    settings: FoldSettings,
    start: Mapping[int, tuple[int, int]],
    end: Mapping[int, int],
    *,
    partitions: int,
    clock: Clock,
    patience_s: float = 30.0,
    told: Repeats | None = None,
) -> Repeats:
    """Read the IDs of the window before a generation's end; nothing is read where the window is 0 or has none.

    Args:
        consumer: whose assignment this replaces; empty afterwards.
        topic: the input topic.
        settings: the generation's.
        start: by partition, the first offset of the window and the clock before it (`Manifest.dedupe_from`); none for a
            partition without IDs.
        end: by partition, the first offset that the generation does not cover.
        partitions: how many the topic has.
        clock: for the patience.
        patience_s: longest time without any answer from the broker.
        told: knows what came before the starts, is told the rest, and returned; None for one that knows nothing.

    Raises:
        LogGap: the topic no longer reaches back so far.
        BrokerUnavailable: nothing came for so long.
    """
    repeats = told
    if repeats is None:
        repeats = Repeats(settings, {partition: clock_ms for partition, (_, clock_ms) in start.items()})
        repeats.begin({partition: end.get(partition, 0) for partition in start})
    unread = {p: offset for p, (offset, _) in start.items() if settings.dedupes and offset < end.get(p, 0)}
    consumer.assign({(topic, partition): offset for partition, offset in unread.items()})
    deadline = clock.monotonic() + patience_s
    while unread:
        try:
            events = consumer.poll(_CHUNK, 0.5)
        except LogGap as gap:
            raise LogGap(
                f"{gap}. It is needed to know which records repeat those of the last {settings.dedupe_window_s:g} s: "
                "bring the log back, or train with input.dedupe_window_s = 0 or a shorter one"
            ) from None
        if events:
            deadline = clock.monotonic() + patience_s
        elif clock.monotonic() > deadline:
            raise BrokerUnavailable(f"nothing could be read from {topic} for {patience_s:g} s")
        for event in events:
            if isinstance(event, Record) and event.offset < end[event.partition] and id_of(event.headers):
                _take_in(repeats, event, partitions)
        for (_, partition), position in consumer.positions().items():
            if position >= end[partition]:
                unread.pop(partition, None)
    consumer.assign({})
    return repeats


def _take_in(repeats: Repeats, record: Record, partitions: int) -> None:
    try:
        repeats.is_repeat(record, read_input(record.value, record.partition, partitions).user)
    except BadInteraction:
        return  # whatever its ID, it is a dead letter
