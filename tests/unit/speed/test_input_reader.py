"""The input as one epoch reads it: in silence up to what was announced, and then every record once."""

from collections.abc import Mapping

import pytest

from oryx_py.ports import Outgoing, TopicSpec
from oryx_py.testing.fake_log import FakeConsumer, FakeLog, FakeProducer
from speed_layer.epochs.input_reader import InputReader

TOPIC = "input"
COUNTS = (5, 3, 4)


def reader(begins: Mapping[int, int], silent_until: Mapping[int, int]) -> InputReader:
    """A reader of partitions with so many records."""
    log = FakeLog()
    log.create(TopicSpec(TOPIC, len(COUNTS), 1, {}))
    producer = FakeProducer(log)
    for partition, count in enumerate(COUNTS):
        producer.send_many([Outgoing(TOPIC, b"", b"", (), partition)] * count, lambda *_: None)
    producer.flush(10.0)
    producer.close()
    return InputReader(FakeConsumer(log), TOPIC, begins, silent_until)


def read(here: InputReader, most: int) -> list[tuple[int, int]]:
    """Partition and offset of what comes, in more readings than there are records; some may have nothing."""
    records = [record for _ in range(2 * sum(COUNTS)) for record in here.read(most, 0.0)]
    return sorted((record.partition, record.offset) for record in records)


@pytest.mark.parametrize("most", [1, 2, 100])
@pytest.mark.parametrize(
    ("begins", "announced"),
    [({0: 0, 1: 0, 2: 0}, {0: 3, 1: 3}), ({0: 2, 2: 1}, {0: 4, 1: 2, 2: 1}), ({0: 4, 1: 1}, {0: 2, 1: 2})],
    ids=["from-the-start", "of-some", "behind-the-start"],
)
def test_in_silence_what_was_announced_is_read_and_then_the_rest_once(
    begins: dict[int, int], announced: dict[int, int], most: int
) -> None:
    here = reader(begins, announced)
    turn = {p: max(offset, announced.get(p, 0)) for p, offset in begins.items()}
    assert here.is_silent
    assert read(here, most) == [(p, offset) for p in sorted(begins) for offset in range(begins[p], turn[p])]
    assert here.has_all_announced
    assert here.positions == here.horizon == turn
    here.go_on()
    assert not here.is_silent
    assert read(here, most) == [(p, offset) for p in sorted(begins) for offset in range(turn[p], COUNTS[p])]
    assert here.caught_up(dict(enumerate(COUNTS)))
    here.close()


def test_nothing_announced_is_no_silence() -> None:
    here = reader({1: 1}, {0: 2})
    assert not here.is_silent
    assert read(here, 100) == [(1, 1), (1, 2)]
    here.close()


def test_a_partition_that_is_let_go_of_is_read_no_more() -> None:
    here = reader({0: 0, 1: 0}, {0: 2, 1: 2})
    here.release([0])
    here.assign()
    assert read(here, 1) == [(1, 0), (1, 1)]
    assert here.positions == {1: 2}
    here.close()
