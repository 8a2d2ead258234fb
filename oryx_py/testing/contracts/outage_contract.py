"""What every log must do while its broker is away."""

import time
from collections.abc import Callable, Mapping

import pytest

from oryx_py.errors import BrokerUnavailable, OryxError, QueueFull
from oryx_py.ports import (
    Delivery,
    Outgoing,
    TopicSpec,
)
from oryx_py.testing.contracts.log_harness import (
    DEADLINE_S,
    BreakableLog,
    everything,
    new_topic,
    read_to_end,
    read_until,
    records_of,
    send_all,
)

__all__ = ["OutageContract"]


class OutageContract:
    """Provide the fixture ``log``, a ``BreakableLog`` that no other test uses at the same time."""

    def test_a_producer_keeps_what_it_holds(self, log: BreakableLog) -> None:
        """Records sent before, in and after an outage are stored once, in order; flush tells what is open meanwhile."""
        topic, producer = new_topic(log), log.producer()
        deliveries: list[Delivery] = []

        def send(numbers: range) -> None:
            for n in numbers:
                producer.send(topic, b"%d" % n, key=b"key", on_delivery=deliveries.append)

        send(range(100))
        producer.flush(DEADLINE_S)
        with log.outage():
            send(range(100, 200))
            with pytest.raises(BrokerUnavailable):
                producer.flush(0.5)
        send(range(200, 300))
        producer.flush(DEADLINE_S)
        assert [delivery.error for delivery in deliveries] == [None] * 300
        consumer = log.consumer()
        consumer.assign(everything(topic))
        assert [int(record.value or b"") for record in read_to_end(consumer)] == list(range(300))

    def test_a_consumer_goes_on_where_it_was(self, log: BreakableLog) -> None:
        """In the outage there is nothing to read and no error."""
        topic, producer, consumer = new_topic(log), log.producer(), log.consumer()
        send_all(producer, [Outgoing(topic, b"%d" % n) for n in range(10)])
        consumer.assign(everything(topic))
        assert len(read_to_end(consumer)) == 10
        with log.outage():
            for _ in range(3):
                assert consumer.poll(10, 0.2) == []
        assert consumer.positions() == {(topic, 0): 10}
        send_all(producer, [Outgoing(topic, b"%d" % n) for n in range(10, 20)])
        read = records_of(read_until(consumer, lambda events: len(records_of(events)) >= 10))
        assert [record.offset for record in read] == list(range(10, 20))

    def test_questions_are_not_answered(self, log: BreakableLog) -> None:
        """Each ends with BrokerUnavailable in its time, and is answered again afterwards."""
        topic = new_topic(log)
        consumer, admin = log.hasty_clients()
        _until_answered(lambda: consumer.commit({(topic, 0): 1}))  # hasty clients may be too hasty for a group's start
        questions: Mapping[str, Callable[[], object]] = {
            "partitions": lambda: admin.partitions(topic),
            "end_offsets": lambda: admin.end_offsets(topic),
            "cluster_id": admin.cluster_id,
            "create": lambda: admin.create(TopicSpec(topic, 1, 1, {})),
            "commit": lambda: consumer.commit({(topic, 0): 2}),
            "committed": lambda: consumer.committed([(topic, 0)]),
        }
        with log.outage():
            for name, ask in questions.items():
                with pytest.raises(BrokerUnavailable):
                    print(name, ask())  # noqa: T201 - names the one that answered
        for ask in questions.values():
            _until_answered(ask)

    def test_a_full_queue_is_said(self, log: BreakableLog) -> None:
        """At once, without queueing or waiting; there is room again after the outage."""
        topic, producer = new_topic(log), log.small_producer()
        send_all(producer, [Outgoing(topic, b"")])
        deliveries: list[Delivery] = []
        with log.outage():
            for _ in range(10):
                producer.send(topic, b"", on_delivery=deliveries.append)
            with pytest.raises(QueueFull):
                producer.send(topic, b"")
        producer.flush(DEADLINE_S)
        assert [delivery.error for delivery in deliveries] == [None] * 10

    def test_as_many_are_sent_together_as_there_is_room_for(self, log: BreakableLog) -> None:
        """And none, without an error, where there is none."""
        topic, producer = new_topic(log), log.small_producer()
        producer.send_many([Outgoing(topic, b"")], lambda *_: None)
        producer.flush(DEADLINE_S)
        failures: list[tuple[int, OryxError]] = []
        records = [Outgoing(topic, b"%d" % n) for n in range(15)]
        with log.outage():
            assert producer.send_many(records, lambda *failure: failures.append(failure)) == 10
            assert producer.send_many(records[10:], lambda *failure: failures.append(failure)) == 0
        producer.flush(DEADLINE_S)
        assert producer.send_many(records[10:], lambda *failure: failures.append(failure)) == 5
        producer.flush(DEADLINE_S)
        assert failures == []
        consumer = log.consumer()
        consumer.assign(everything(topic))
        assert [record.value for record in read_to_end(consumer)] == [b"", *(record.value for record in records)]

    def test_closing_in_an_outage_gives_up(self, log: BreakableLog) -> None:
        """What was still queued is reported as not acknowledged, before close returns."""
        topic, producer = new_topic(log), log.producer()
        send_all(producer, [Outgoing(topic, b"")])
        deliveries: list[Delivery] = []
        failures: list[tuple[int, OryxError]] = []
        with log.outage():
            producer.send(topic, b"", on_delivery=deliveries.append)
            producer.send_many([Outgoing(topic, b"")] * 2, lambda *failure: failures.append(failure))
            producer.close(0.1)
            assert [type(delivery.error) for delivery in deliveries] == [BrokerUnavailable]
            assert [(number, type(error)) for number, error in failures] == [(n, BrokerUnavailable) for n in range(2)]


def _until_answered(ask: Callable[[], object]) -> None:
    """Ask again until the answer is there, or the deadline."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        try:
            ask()
        except BrokerUnavailable:
            assert time.monotonic() < deadline
        else:
            return
