"""Which rows of the history only repeat others, by their IDs: the law of `oryx_py.events.dedupe`, in columns. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oryx_py.events import FoldSettings, reaches

__all__ = ["CLOCKED_SCHEMA", "REPEATS_SCHEMA", "Stretch", "clock_stream", "repeat_stream", "window_start"]

_PLACE: list["pa.Field[Any]"] = [
    pa.field("partition", pa.int32(), nullable=False),
    pa.field("offset", pa.int64(), nullable=False),
]
_CLOCKED: list["pa.Field[Any]"] = [
    *_PLACE,
    pa.field("key_1", pa.int64(), nullable=False),  # with key_2 a hash of user and ID
    pa.field("key_2", pa.int64(), nullable=False),
    pa.field("clock_ms", pa.int64(), nullable=False),
    pa.field("number", pa.int64(), nullable=False),
]
CLOCKED_SCHEMA: Final = pa.schema(_CLOCKED)
REPEATS_SCHEMA: Final = pa.schema(_PLACE)


def clock_stream(
    batches: Iterable[pa.RecordBatch], before: Mapping[int, int] = MappingProxyType({})
) -> Iterator[pa.RecordBatch]:
    """Give rows their partition's clock and their number in it; batches of `CLOCKED_SCHEMA`.

    Columns in: partition, offset, kafka_ms, key_1, key_2; sorted by partition and offset. ``before``: the clocks of
    partitions whose first rows are not here.
    """
    last_partition, clock, number = -1, -1, 0
    for batch in batches:
        if not batch.num_rows:
            continue
        partitions: NDArray[np.int32] = batch.column("partition").to_numpy()
        clocks: NDArray[np.int64] = batch.column("kafka_ms").to_numpy().copy()
        numbers = np.empty(len(clocks), np.int64)
        starts = np.flatnonzero(np.diff(partitions, prepend=partitions[0] - 1))
        for start, stop in zip(starts.tolist(), [*starts[1:].tolist(), len(partitions)], strict=True):
            if partitions[start] != last_partition:
                last_partition, number = int(partitions[start]), 0
                clock = before.get(last_partition, -1)
            clocks[start] = max(clocks[start], clock)
            np.maximum.accumulate(clocks[start:stop], out=clocks[start:stop])
            numbers[start:stop] = np.arange(number, number + stop - start)
            clock, number = int(clocks[stop - 1]), number + stop - start
        kept = [batch.column(name) for name in ("partition", "offset", "key_1", "key_2")]
        yield pa.RecordBatch.from_arrays([*kept, pa.array(clocks), pa.array(numbers)], schema=CLOCKED_SCHEMA)


def repeat_stream(batches: Iterable[pa.RecordBatch], settings: FoldSettings) -> Iterator[pa.RecordBatch]:
    """Find the rows that are to be ignored; batches of `REPEATS_SCHEMA`.

    Columns in: those of `CLOCKED_SCHEMA`, sorted by key_1, key_2, partition and offset. A row is compared with the one
    before it alone, as the last row of the same user and ID is the nearest in clock and number.
    """
    last: pa.RecordBatch | None = None
    for batch in batches:
        if not batch.num_rows:
            continue
        # With one row of the batch before in front; the first row of all is its own, and no repeat.
        before = batch.slice(0, 0) if last is None else last
        rows = pa.Table.from_batches([before, batch]).combine_chunks().to_batches()[0]
        last = batch.slice(batch.num_rows - 1)
        steps = {name: np.diff(rows.column(name).to_numpy()) for name in rows.schema.names}
        same = (steps["key_1"] == 0) & (steps["key_2"] == 0) & (steps["partition"] == 0)
        same &= reaches(steps["clock_ms"], steps["number"], settings)
        repeats = rows.select(["partition", "offset"]).slice(1).filter(pa.array(same))
        if repeats.num_rows:
            yield repeats.cast(REPEATS_SCHEMA)


class Stretch(NamedTuple):
    """Some of a partition's rows with an ID, next to each other in the order of the offsets."""

    first_offset: int
    rows: int
    newest_ms: int


def window_start(stretches: Sequence[Stretch], settings: FoldSettings, before_ms: int = -1) -> tuple[int, int]:
    """Return from which offset later records may repeat rows of one partition, and the clock before it.

    At most a stretch too low. ``stretches``, one at least, are all that the partition has, ascending; or all from an
    earlier such offset on, with the clock before it.
    """
    clocks = list(accumulate((stretch.newest_ms for stretch in stretches), max, initial=before_ms))[1:]
    start, rows = len(stretches), 0
    while start and rows < settings.dedupe_records and clocks[start - 1] >= clocks[-1] - settings.dedupe_window_ms:
        start -= 1
        rows += stretches[start].rows
    return stretches[start].first_offset, clocks[start - 1] if start else before_ms
