"""What repeats among new rows is seen from the window before them alone, as from all rows."""

from collections.abc import Mapping, Sequence

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_layer.folding.dedupe import CLOCKED_SCHEMA, Stretch, clock_stream, repeat_stream, window_start
from oryx_py.events import FoldSettings

_Row = tuple[int, int, int]
"""Offset, Kafka timestamp, key."""


def repeats(rows: Sequence[_Row], fold: FoldSettings, before: Mapping[int, int]) -> set[int]:
    columns = zip(*((0, offset, ms, key, 0) for offset, ms, key in rows), strict=True) if rows else [[]] * 5
    types = (pa.int32(), pa.int64(), pa.int64(), pa.int64(), pa.int64())
    arrays = [pa.array(column, kind) for column, kind in zip(columns, types, strict=True)]
    batch = pa.RecordBatch.from_arrays(arrays, names=["partition", "offset", "kafka_ms", "key_1", "key_2"])
    clocked = pa.Table.from_batches(list(clock_stream([batch], before)), CLOCKED_SCHEMA)
    in_order = clocked.sort_by([(name, "ascending") for name in ("key_1", "key_2", "partition", "offset")])
    return {row["offset"] for found in repeat_stream(in_order.to_batches(), fold) for row in found.to_pylist()}


def start(rows: Sequence[_Row], fold: FoldSettings, stretch: int, before_ms: int = -1) -> tuple[int, int]:
    found: dict[int, Stretch] = {}
    for offset, ms, _ in rows:
        known = found.get(offset // stretch, Stretch(offset, 0, -1))
        found[offset // stretch] = Stretch(known.first_offset, known.rows + 1, max(known.newest_ms, ms))
    return window_start([found[number] for number in sorted(found)], fold, before_ms)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(-6, 4), st.integers(0, 3)), min_size=2, max_size=40),
    st.integers(1, 39),
    st.integers(1, 8),
    st.integers(1, 6),
    st.integers(1, 7),
)
def test_the_window_before_new_rows_says_what_all_rows_say(
    steps: list[tuple[int, int, int]], cut: int, window_ms: int, records: int, stretch: int
) -> None:
    fold = FoldSettings("implicit", dedupe_window_s=window_ms / 1000, dedupe_records=records)
    rows: list[_Row] = []
    offset, now = 0, 10
    for further, passed, key in steps:
        offset, now = offset + further, max(0, now + passed)
        rows.append((offset, now, key))
    cut = min(cut, len(rows) - 1)
    first, clock_ms = start(rows[:cut], fold, stretch)
    both = [row for row in rows[:cut] if row[0] >= first] + rows[cut:]
    new = {offset for offset, _, _ in rows[cut:]}
    assert repeats(both, fold, {0: clock_ms}) & new == repeats(rows, fold, {}) & new
    assert start(both, fold, stretch, clock_ms) == start(rows, fold, stretch)
