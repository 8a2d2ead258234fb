"""Reading the input topic by offsets."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_layer.folding.input_rows import READ_SCHEMA, Slice, read_slices, slice_ranges
from oryx_py.adapters.clock import SystemClock
from oryx_py.errors import BrokerUnavailable, LogGap
from oryx_py.messages import partition_of
from oryx_py.ports import TopicSpec
from oryx_py.testing.fake_log import FakeConsumer, FakeLog, FakeProducer
from tests.support.interactions import interactions

ranges = st.dictionaries(
    st.integers(0, 5), st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda two: (min(two), max(two)))
)


@given(ranges, st.integers(1, 20))
def test_slices_have_every_offset_once(ranges: dict[int, tuple[int, int]], most: int) -> None:
    slices = slice_ranges(ranges, most)
    assert all(0 < part.stop - part.start <= most for part in slices)
    cut = [(part.partition, offset) for part in slices for offset in range(part.start, part.stop)]
    assert cut == [(partition, offset) for partition in sorted(ranges) for offset in range(*ranges[partition])]


def log_of(*values: bytes | None, partitions: int = 1, partition: int = 0) -> FakeLog:
    log = FakeLog()
    log.create(TopicSpec("in", partitions, 1, {}))
    producer = FakeProducer(log)
    for value in values:
        producer.send("in", value, partition=partition, headers=(("id", b"\xff1"), ("traceparent", b"00-")))
    producer.flush(10)
    producer.close()
    return log


def read(log: FakeLog, *slices: Slice, batch_rows: int = 20_000) -> pa.Table:
    partitions = len(log.topic("in").partitions)
    batches = read_slices(FakeConsumer(log), "in", partitions, slices, clock=SystemClock(), batch_rows=batch_rows)
    return pa.Table.from_batches(list(batches), READ_SCHEMA)


def test_a_row_has_everything_the_record_has() -> None:
    table = read(log_of(b"ann,tea,2.5,7,view", b'["ann","tea",null]'), Slice(0, 0, 2))
    timestamps = table.column("kafka_ms").to_pylist()
    assert all(timestamp > 1_700_000_000_000 for timestamp in timestamps)
    common = {"partition": 0, "id": b"\xff1", "user": "ann", "item": "tea", "rejected": False}
    assert table.drop_columns(["kafka_ms"]).to_pylist() == [
        {**common, "offset": 0, "strength": 2.5, "timestamp_ms": 7, "kind": "view"},
        {**common, "offset": 1, "strength": None, "timestamp_ms": None, "kind": None},
    ]


def test_only_the_slices_are_read_and_in_bounded_batches() -> None:
    log = log_of(*[f"u{n},i".encode() for n in range(10)])
    assert read(log, Slice(0, 2, 4), Slice(0, 7, 10)).column("user").to_pylist() == ["u2", "u3", "u7", "u8", "u9"]
    batches = read_slices(FakeConsumer(log), "in", 1, [Slice(0, 0, 10)], clock=SystemClock(), batch_rows=4)
    assert [batch.num_rows for batch in batches] == [4, 4, 2]


def test_offsets_without_a_record_do_not_hold_it_up() -> None:
    """A transaction's marker takes an offset; here one lies at the end of a slice, and one at the end of the log."""
    log = log_of(b"a,i")
    log.skip("in", 0)
    producer = FakeProducer(log)
    producer.send("in", b"b,i", partition=0)
    producer.flush(10)
    producer.close()
    log.skip("in", 0, 3)
    assert read(log, Slice(0, 0, 2), Slice(0, 2, 6)).column("offset").to_pylist() == [0, 2]


def test_records_outside_their_users_partition_are_left_out() -> None:
    home = partition_of("ann", 4)
    values = (b"ann,tea", b"ann,tea,", b"ann,,", b",tea,")
    assert read(log_of(*values, partitions=4, partition=home), Slice(home, 0, 4)).column("rejected").to_pylist() == (
        [False] * 4
    )
    away = (home + 1) % 4
    assert read(log_of(*values, partitions=4, partition=away), Slice(away, 0, 4)).column("rejected").to_pylist() == (
        [True, True, True, False]
    )


@given(st.lists(st.binary(max_size=60) | st.none() | interactions.map(repr).map(str.encode), max_size=8))
def test_no_value_stops_the_reader(values: list[bytes | None]) -> None:
    table = read(log_of(*values), Slice(0, 0, len(values))) if values else read(log_of())
    assert table.num_rows == len(values)
    table.validate(full=True)


@pytest.mark.parametrize(
    "value",
    [
        b'["\\ud800","i"]',
        b"a,i,1,99999999999999999999",
        b'["a","i",1e400]',
        b"a,i,nan",
        b'["a","i",1,1e30]',
        b"a\x00,i",
    ],
)
def test_values_that_fit_no_column_are_left_out(value: bytes) -> None:
    assert read(log_of(value), Slice(0, 0, 1)).column("rejected").to_pylist() == [True]


def test_trimmed_offsets_are_an_error() -> None:
    log = log_of(b"a,i", b"b,i")
    log.trim("in", {0: 1})
    with pytest.raises(LogGap):
        read(log, Slice(0, 0, 2))


class Impatient(SystemClock):
    """An hour passes at each look at the clock."""

    hours = 0

    def monotonic(self) -> float:
        self.hours += 1
        return self.hours * 3600.0


def test_a_silent_broker_is_waited_for_and_then_given_up() -> None:
    log = log_of(b"a,i")
    log.set_down(True)
    with pytest.raises(BrokerUnavailable, match="nothing came from in:0"):
        list(read_slices(FakeConsumer(log), "in", 1, [Slice(0, 0, 1)], clock=Impatient()))
