"""One law of repeats: record by record, in columns however they are cut, and written out."""

from collections.abc import Sequence
from itertools import pairwise

import msgspec
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from batch_layer.folding.dedupe import (
    CLOCKED_SCHEMA,
    REPEATS_SCHEMA,
    Stretch,
    clock_stream,
    repeat_stream,
    window_start,
)
from oryx_py.events import FoldSettings, SeenIds
from oryx_py.events import dedupe as dedupe_module
from tests.support.repeats import Sighting, repeated

ROWS = pa.schema(
    [
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("kafka_ms", pa.int64()),
        ("key_1", pa.int64()),
        ("key_2", pa.int64()),
    ]
)

records = st.tuples(
    st.integers(0, 2),
    st.sampled_from(["", "a", "b"]),
    st.sampled_from([b"", b"x", b"x", b"y", b"\xff\0"]),
    st.integers(-3, 6) | st.sampled_from([-1000, 1000]),
)
folds = st.builds(
    FoldSettings,
    feedback=st.just("implicit"),
    dedupe_window_s=st.sampled_from([0.0, 0.001, 0.004, 0.02, 2.0]),
    dedupe_records=st.integers(1, 6) | st.just(1_000),
)


def log_of(rows: Sequence[tuple[int, str, bytes, int]]) -> list[Sighting]:
    """Lay records into partitions, offsets with holes; each Kafka timestamp so much after the one before, or before."""
    log, now = [], 5_000
    for offset, (partition, user, id_, step) in enumerate(rows):
        now = max(-1, now + step)
        log.append(Sighting(partition, 3 * offset, now, user, id_))
    return log


def one_by_one(log: Sequence[Sighting], fold: FoldSettings) -> set[tuple[int, int]]:
    seen = {partition: SeenIds(fold) for partition in range(3)}
    return {
        (r.partition, r.offset)
        for r in log
        if fold.dedupes and r.id and seen[r.partition].is_repeat(r.user, r.id, r.kafka_ms)
    }


def in_columns(log: Sequence[Sighting], fold: FoldSettings, cuts: Sequence[int]) -> set[tuple[int, int]]:
    """Users and IDs as two numbers, neither of which tells them apart alone."""
    numbers: dict[str | bytes, int] = {"": 0, "a": 1, "b": 2, b"x": 10, b"y": 20, b"\xff\0": 30}
    rows = [
        dict(zip(ROWS.names, (r.partition, r.offset, r.kafka_ms, numbers[r.user], numbers[r.id]), strict=True))
        for r in log
        if r.id and fold.dedupes
    ]
    rows.sort(key=lambda row: (row["partition"], row["offset"]))
    clocked = [row for batch in clock_stream(cut(rows, ROWS, cuts)) for row in batch.to_pylist()]
    clocked.sort(key=lambda row: (row["key_1"], row["key_2"], row["partition"], row["offset"]))
    found = list(repeat_stream(cut(clocked, CLOCKED_SCHEMA, cuts), fold))
    assert all(batch.schema == REPEATS_SCHEMA for batch in found)
    return {(row["partition"], row["offset"]) for batch in found for row in batch.to_pylist()}


def cut(rows: Sequence[dict[str, object]], schema: pa.Schema, cuts: Sequence[int]) -> list[pa.RecordBatch]:
    edges = [0, *sorted(min(at, len(rows)) for at in cuts), len(rows)]
    return [pa.RecordBatch.from_pylist(list(rows[start:stop]), schema) for start, stop in pairwise(edges)]


@pytest.mark.parametrize("sweep_every", [1, 7, 4096])
@settings(deadline=None, max_examples=150)
@given(rows=st.lists(records, max_size=40), fold=folds, cuts=st.lists(st.integers(0, 40), max_size=5))
def test_record_by_record_in_columns_and_written_out_agree(
    sweep_every: int, rows: list[tuple[int, str, bytes, int]], fold: FoldSettings, cuts: list[int]
) -> None:
    """Whatever the broker's clock does, however often memory is swept, however the columns are cut."""
    log = log_of(rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dedupe_module, "_SWEEP_RECORDS", sweep_every)
        found = one_by_one(log, fold)
    assert found == repeated(log, fold)
    assert in_columns(log, fold, cuts) == found


@settings(deadline=None, max_examples=200)
@given(
    rows=st.lists(records, max_size=40),
    fold=folds,
    at=st.integers(1, 40),
    cuts=st.lists(st.integers(1, 40), max_size=5),
)
def test_what_lies_before_the_window_is_not_needed(
    rows: list[tuple[int, str, bytes, int]], fold: FoldSettings, at: int, cuts: list[int]
) -> None:
    """Who begins at the window before n, with the clock there, decides the same from n on; however that was summed."""
    log = [record for record in log_of([(0, *row[1:]) for row in rows]) if record.id]
    before, after = log[:at], log[at:]
    assume(before and fold.dedupes)
    edges = sorted({0, *(cut for cut in cuts if cut < len(before)), len(before)})
    parts = [before[start:stop] for start, stop in pairwise(edges)]
    stretches = [Stretch(part[0].offset, len(part), max(r.kafka_ms for r in part)) for part in parts]
    start, clock_ms = window_start(stretches, fold)
    seen = SeenIds(fold, clock_ms)
    found = [seen.is_repeat(r.user, r.id, r.kafka_ms) for r in log if r.offset >= start][-len(after) or len(log) :]
    wanted = repeated(log, fold)
    assert found == [(r.partition, r.offset) in wanted for r in after]


def test_the_window_starts_no_earlier_than_time_and_number_ask_for() -> None:
    stretches = [Stretch(10 * n, 10, 1_000 * n) for n in range(100)]
    fold = FoldSettings(feedback="implicit", dedupe_window_s=5.0, dedupe_records=1_000)
    assert window_start(stretches, fold) == (940, 93_000)
    assert window_start(stretches, msgspec.structs.replace(fold, dedupe_records=21)) == (970, 96_000)
    assert window_start(stretches, msgspec.structs.replace(fold, dedupe_window_s=1e6)) == (0, -1)


@settings(deadline=None, max_examples=200)
@given(
    rows=st.lists(records, max_size=40),
    fold=folds,
    cuts=st.sets(st.integers(0, 40)),
    copies=st.sets(st.integers(0, 40)),
    sweep=st.sampled_from([1, 4096]),
    sealed=st.sampled_from([1, 3, 1_000]),
)
def test_what_was_dumped_and_loaded_or_copied_goes_on_as_if_nothing_had_been(
    rows: list[tuple[int, str, bytes, int]],
    fold: FoldSettings,
    cuts: set[int],
    copies: set[int],
    sweep: int,
    sealed: int,
) -> None:
    """At any record, also several times; whether or not old keys were swept before, and who is copied goes on, too."""
    log = [record for record in log_of([(0, *row[1:]) for row in rows]) if record.id]
    wanted = repeated(log, fold)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(dedupe_module, "_SWEEP_RECORDS", sweep)
        patched.setattr(dedupe_module, "_SEALED_KEYS", sealed)
        patched.setattr(dedupe_module, "_COPIED_KEYS", 2)
        seen = [SeenIds(fold)]
        for at, record in enumerate(log):
            if at in cuts:
                window = seen[-1].dump()
                assert (window.numbers >= window.first).all()
                seen[-1] = SeenIds.of(fold, window)
            if at in copies:
                seen.append(seen[-1].copy())
            repeats = {each.is_repeat(record.user, record.id, record.kafka_ms) for each in seen}
            if fold.dedupes:
                assert repeats == {(record.partition, record.offset) in wanted}
