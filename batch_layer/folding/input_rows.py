"""The rows of the history: what the input topic said, record by record, deletes and forgets among them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa

from oryx_py.errors import BadInteraction, BrokerUnavailable
from oryx_py.messages.inbound import id_of, read_input
from oryx_py.ports import Clock, Consumer, EndOfPartition, Record

__all__ = ["HISTORY_SCHEMA", "READ_SCHEMA", "Slice", "read_slices", "slice_ranges"]

_COLUMNS: list["pa.Field[Any]"] = [
    pa.field("partition", pa.int32(), nullable=False),
    pa.field("offset", pa.int64(), nullable=False),
    pa.field("kafka_ms", pa.int64(), nullable=False),  # Kafka's timestamp; -1: the record has none
    pa.field("id", pa.binary()),  # idempotency key, from the header
    pa.field("user", pa.string(), nullable=False),  # empty: forget the item
    pa.field("item", pa.string(), nullable=False),  # empty: forget the user
    pa.field("strength", pa.float64()),  # null: a delete or forget
    pa.field("timestamp_ms", pa.int64()),  # the client's
    pa.field("kind", pa.string()),
]
HISTORY_SCHEMA: Final = pa.schema(_COLUMNS)
"""Columns of the history's files, in the wire protocol's words."""

READ_SCHEMA: Final = HISTORY_SCHEMA.append(pa.field("rejected", pa.bool_(), nullable=False))
"""As they are read: a record that was left out is still one row, so that it can be counted where it is dropped."""

# Longest silence of the broker before a task gives up; the run is then tried again.
_PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Slice:
    """Offsets ``[start, stop)`` of one partition, small enough for one task."""

    partition: int
    start: int
    stop: int


def slice_ranges(ranges: dict[int, tuple[int, int]], most: int) -> list[Slice]:
    """Cut ``[from, to)`` of each partition into slices of at most ``most`` offsets, by partition and offset."""
    return [
        Slice(partition, at, min(at + most, stop))
        for partition, (start, stop) in sorted(ranges.items())
        for at in range(start, stop, most)
    ]


@dataclass(slots=True)
class _Columns:
    """Rows being collected, column by column."""

    values: list[list[Any]] = field(default_factory=lambda: [[] for _ in READ_SCHEMA])

    def __len__(self) -> int:
        return len(self.values[0])

    def add(self, record: Record, partitions: int) -> None:
        row: tuple[Any, ...]
        where = (record.partition, record.offset, record.timestamp_ms)
        try:
            told = read_input(record.value, record.partition, partitions)
        except BadInteraction:
            row = (*where, None, "", "", None, None, None, True)
        else:
            key = id_of(record.headers)
            row = (*where, key, told.user, told.item, told.strength, told.timestamp_ms, told.kind, False)
        for column, value in zip(self.values, row, strict=True):
            column.append(value)

    def batch(self) -> pa.RecordBatch:
        arrays = [pa.array(column, kind.type) for column, kind in zip(self.values, READ_SCHEMA, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, schema=READ_SCHEMA)


def read_slices(
    consumer: Consumer, topic: str, partitions: int, slices: Sequence[Slice], *, clock: Clock, batch_rows: int = 20_000
) -> Iterator[pa.RecordBatch]:
    """Read slices of the input topic, one after the other; batches of `READ_SCHEMA` of at most ``batch_rows`` rows.

    The rows are a function of the slices and the log alone.

    Args:
        consumer: whose assignment this replaces; the caller closes it.
        topic: the input topic.
        partitions: how many it has, which decides where a user's records belong.
        slices: what to read.
        clock: for the patience with a silent broker.
        batch_rows: bound of memory.

    Raises:
        BrokerUnavailable: nothing came for a minute.
        LogGap: the topic no longer has these offsets.
    """
    columns = _Columns()
    for part in slices:
        for record in _records(consumer, topic, part, clock, batch_rows):
            columns.add(record, partitions)
            if len(columns) >= batch_rows:
                yield columns.batch()
                columns = _Columns()
    if len(columns):
        yield columns.batch()


def _records(consumer: Consumer, topic: str, part: Slice, clock: Clock, most: int) -> Iterator[Record]:
    """The slice's records. It ends at the first offset beyond it or at the log's end, never by counting:
    the markers of transactions take offsets that no reader sees."""
    here = (topic, part.partition)
    consumer.assign({here: part.start})
    deadline = clock.monotonic() + _PATIENCE_S
    while consumer.positions()[here] < part.stop:
        events = consumer.poll(most, 1.0)
        if events:
            deadline = clock.monotonic() + _PATIENCE_S
        elif clock.monotonic() > deadline:
            raise BrokerUnavailable(f"nothing came from {topic}:{part.partition} for {_PATIENCE_S:g} s")
        for event in events:
            if event.offset >= part.stop:
                return
            # An end below the slice's is a replica that has not caught up yet: wait for it.
            if not isinstance(event, EndOfPartition):
                yield event
