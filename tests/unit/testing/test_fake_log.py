"""The faults and holes that the fake log makes on request (the rest is its contract, in tests/contract)."""

import pytest

from oryx_py.errors import BrokerUnavailable, LogGap, RecordTooLarge
from oryx_py.ports import Delivery, EndOfPartition, Outgoing, Record, TopicSpec
from oryx_py.testing.contracts.log_harness import send_all
from oryx_py.testing.fake_log import FakeConsumer, FakeLog, FakeProducer

WAIT_S = 30.0


class Clock:
    def __init__(self) -> None:
        self.ms = 1000

    def now_ms(self) -> int:
        return self.ms

    def monotonic(self) -> float:
        return self.ms / 1000

    def sleep(self, seconds: float) -> None:
        self.ms += round(seconds * 1000)


def a_log(clock: Clock | None = None) -> FakeLog:
    log = FakeLog(clock)
    log.create(TopicSpec("topic", 1, 1, {}))
    return log


def test_records_have_the_clocks_time() -> None:
    """So a test can place interactions in time."""
    clock = Clock()
    log = a_log(clock)
    log.append(Outgoing("topic", b"a"))
    clock.ms = 2000
    log.append(Outgoing("topic", b"b"))
    consumer = FakeConsumer(log)
    consumer.assign({("topic", 0): 0})
    assert [r.timestamp_ms for r in consumer.poll(10, 0.0) if isinstance(r, Record)] == [1000, 2000]


def test_asked_for_failures_come_in_order_and_store_nothing() -> None:
    """The next record after them is stored."""
    log = a_log()
    producer = FakeProducer(log)
    log.fail_next(2)
    log.fail_next(1, RecordTooLarge("x"))
    deliveries: list[Delivery] = []
    for _ in range(4):
        producer.send("topic", b"", on_delivery=deliveries.append)
    with pytest.raises(BrokerUnavailable):
        producer.flush(WAIT_S)
    assert [type(d.error) for d in deliveries] == [BrokerUnavailable, BrokerUnavailable, RecordTooLarge, type(None)]
    assert deliveries[-1].offset == 0
    producer.close()


def test_a_marker_takes_an_offset_without_a_record() -> None:
    """Readers pass over it; the end is above the last record."""
    log = a_log()
    log.append(Outgoing("topic", b"a"))
    log.skip("topic", 0, 2)
    log.append(Outgoing("topic", b"b"))
    log.skip("topic", 0)
    consumer = FakeConsumer(log)
    consumer.assign({("topic", 0): 0})
    events = consumer.poll(10, 0.0)
    assert [event.offset for event in events] == [0, 3, 5]
    assert isinstance(events[-1], EndOfPartition)
    consumer.assign({("topic", 0): 1})
    assert [event.offset for event in consumer.poll(10, 0.0)] == [3, 5]


def test_records_trimmed_under_a_reader_are_a_gap() -> None:
    """As for a reader that was slower than the retention."""
    log = a_log()
    for _ in range(5):
        log.append(Outgoing("topic", b""))
    consumer = FakeConsumer(log)
    consumer.assign({("topic", 0): 0})
    assert len(consumer.poll(2, 0.0)) == 2
    log.trim("topic", {0: 4})
    with pytest.raises(LogGap):
        consumer.poll(2, 0.0)


def test_a_record_that_waits_too_long_is_given_up() -> None:
    """In an outage that lasts."""
    log = a_log()
    producer = FakeProducer(log, delivery_timeout_s=0.05)
    with log.outage(), pytest.raises(BrokerUnavailable):
        send_all(producer, [Outgoing("topic", b"")])
    producer.flush(WAIT_S)
    producer.close()
    assert log.partition("topic", 0).end == 0
