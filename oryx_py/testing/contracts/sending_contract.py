"""What every producer of a log must do."""

import threading
import time
from collections import defaultdict
from contextlib import nullcontext

import pytest

from oryx_py.errors import BrokerUnavailable, OryxError, RecordTooLarge
from oryx_py.messages.partition import murmur2
from oryx_py.ports import (
    Delivery,
    Outgoing,
)
from oryx_py.testing.contracts.log_harness import (
    DEADLINE_S,
    LogUnderTest,
    everything,
    new_topic,
    read_to_end,
    send_all,
)

__all__ = ["SendingContract"]


class SendingContract:
    """Provide the fixture ``log``; tests make topics of their own, so it may be shared."""

    def test_what_is_sent_is_read(self, log: LogUnderTest) -> None:
        """Key, value, headers and None come back as they were; place and time are added."""
        topic = new_topic(log)
        sent = [
            Outgoing(topic, b"value", b"key", (("id", b"1"), ("id", b"2"), ("empty", b""))),
            Outgoing(topic, None, b"key"),
            Outgoing(topic, b"", b""),
            Outgoing(topic, "Zoë,李,🦉\n\x00".encode(), None),
        ]
        before_ms = time.time_ns() // 1_000_000
        deliveries = send_all(log.producer(), sent)
        consumer = log.consumer()
        consumer.assign(everything(topic))
        read = read_to_end(consumer)
        assert [Outgoing(r.topic, r.value, r.key, r.headers) for r in read] == sent
        assert [Delivery(r.partition, r.offset) for r in read] == deliveries
        assert all(abs(r.timestamp_ms - before_ms) < 3_600_000 for r in read)

    def test_a_key_has_one_partition(self, log: LogUnderTest) -> None:
        """It is the one that the wire protocol computes, so that others find it."""
        topic = new_topic(log, partitions=5)
        keys = [f"user-{n}".encode() for n in range(50)] + ["Zoë".encode(), b"", b"\x00\xff"]
        deliveries = send_all(log.producer(), [Outgoing(topic, key, key) for key in keys for _ in range(2)])
        assert {delivery.error for delivery in deliveries} == {None}
        consumer = log.consumer()
        consumer.assign(everything(topic, 5))
        read = read_to_end(consumer)
        assert len(read) == 2 * len(keys)
        assert all(r.partition == (murmur2(r.key or b"") & 0x7FFFFFFF) % 5 for r in read)

    def test_a_partition_that_was_named_is_taken(self, log: LogUnderTest) -> None:
        """Whatever the key says."""
        topic = new_topic(log, partitions=3)
        deliveries = send_all(log.producer(), [Outgoing(topic, b"", b"key", (), number) for number in (2, 0, 1)])
        assert sorted(delivery.partition for delivery in deliveries) == [0, 1, 2]

    def test_order_is_kept_within_a_partition(self, log: LogUnderTest) -> None:
        """In the log, in the callbacks, and over many polls; nothing is missing and nothing comes twice."""
        topic, count = new_topic(log, partitions=3), 5000
        reported: dict[int, list[int]] = defaultdict(list)
        producer = log.producer()
        for n in range(count):
            producer.send(
                topic,
                b"%d" % n,
                partition=n % 3,
                on_delivery=lambda delivery: reported[delivery.partition].append(delivery.offset),
            )
        producer.flush(DEADLINE_S)
        assert all(offsets == sorted(offsets) for offsets in reported.values())
        consumer = log.consumer()
        consumer.assign(everything(topic, 3))
        read: dict[int, list[int]] = defaultdict(list)
        for record in read_to_end(consumer, max_records=77):
            read[record.partition].append(int(record.value or b""))
        assert read == {partition: list(range(partition, count, 3)) for partition in range(3)}

    def test_callbacks_come_on_one_thread_of_the_producer(self, log: LogUnderTest) -> None:
        """Never on the caller's, not even while it flushes or closes."""
        topic = new_topic(log)
        threads: set[int] = set()
        producer = log.producer()
        for _ in range(3):
            producer.send(topic, b"", on_delivery=lambda _: threads.add(threading.get_ident()))
            producer.flush(DEADLINE_S)
        producer.send(topic, b"", on_delivery=lambda _: threads.add(threading.get_ident()))
        producer.close()
        assert len(threads) == 1
        assert threading.get_ident() not in threads

    def test_a_record_that_is_too_large_fails_alone(self, log: LogUnderTest) -> None:
        """Its delivery and the next flush say so; those before and after it are stored."""
        topic = new_topic(log, max_message_bytes="10000")
        producer = log.producer()
        deliveries: list[Delivery] = []
        for value in (b"before", b"x" * 20_000, b"after"):
            producer.send(topic, value, on_delivery=deliveries.append)
            with pytest.raises(RecordTooLarge) if len(value) > 10_000 else nullcontext():
                producer.flush(DEADLINE_S)
        assert [type(delivery.error) for delivery in deliveries] == [type(None), RecordTooLarge, type(None)]
        producer.flush(DEADLINE_S)
        consumer = log.consumer()
        consumer.assign(everything(topic))
        assert [record.value for record in read_to_end(consumer)] == [b"before", b"after"]

    def test_what_is_sent_together_is_read_in_its_order(self, log: LogUnderTest) -> None:
        """Within each partition, over several calls; nothing is said of what is stored."""
        topic, count = new_topic(log, partitions=3), 5000
        failures: list[tuple[int, OryxError]] = []
        producer = log.producer()
        records = [
            Outgoing(topic, b"%d" % n, b"key", (("id", b"1"), ("empty", b"")) if n % 2 else (), n % 3)
            for n in range(count)
        ]
        for some in (records[:2000], [], records[2000:]):
            assert producer.send_many(some, lambda *failure: failures.append(failure)) == len(some)
        producer.flush(DEADLINE_S)
        assert failures == []
        consumer = log.consumer()
        consumer.assign(everything(topic, 3))
        read: dict[int, list[Outgoing]] = defaultdict(list)
        for record in read_to_end(consumer):
            stored = Outgoing(record.topic, record.value, record.key, record.headers, record.partition)
            read[record.partition].append(stored)
        assert read == {partition: records[partition::3] for partition in range(3)}

    def test_of_what_is_sent_together_the_keys_choose_partitions(self, log: LogUnderTest) -> None:
        """As of what is sent alone."""
        topic = new_topic(log, partitions=5)
        producer = log.producer()
        producer.send_many([Outgoing(topic, b"", b"user-%d" % n) for n in range(50)], lambda *_: None)
        producer.flush(DEADLINE_S)
        consumer = log.consumer()
        consumer.assign(everything(topic, 5))
        assert all(r.partition == (murmur2(r.key or b"") & 0x7FFFFFFF) % 5 for r in read_to_end(consumer))

    def test_of_what_is_sent_together_a_record_that_is_too_large_fails_alone(self, log: LogUnderTest) -> None:
        """Its number is told, and the next flush says so."""
        topic = new_topic(log, max_message_bytes="10000")
        producer = log.producer()
        failures: list[tuple[int, OryxError]] = []
        for values in ((b"before",), (b"x" * 20_000,), (b"after", b"later")):
            number = producer.send_many([Outgoing(topic, value) for value in values], lambda *f: failures.append(f))
            assert number == len(values)
            with pytest.raises(RecordTooLarge) if len(values[0]) > 10_000 else nullcontext():
                producer.flush(DEADLINE_S)
        assert [(number, type(error)) for number, error in failures] == [(0, RecordTooLarge)]
        producer.flush(DEADLINE_S)
        consumer = log.consumer()
        consumer.assign(everything(topic))
        assert [record.value for record in read_to_end(consumer)] == [b"before", b"after", b"later"]

    def test_closing_sends_what_is_queued(self, log: LogUnderTest) -> None:
        """Then the producer takes no more; closing again does nothing."""
        topic, producer = new_topic(log), log.producer()
        deliveries: list[Delivery] = []
        for n in range(100):
            producer.send(topic, b"%d" % n, on_delivery=deliveries.append)
        producer.send_many([Outgoing(topic, b"together")] * 100, lambda *_: None)
        producer.close(DEADLINE_S)
        producer.close()
        assert [delivery.error for delivery in deliveries] == [None] * 100
        with pytest.raises(BrokerUnavailable):
            producer.send(topic, b"late")
        with pytest.raises(BrokerUnavailable):
            producer.send_many([Outgoing(topic, b"late")], lambda *_: None)
        consumer = log.consumer()
        consumer.assign(everything(topic))
        assert len(read_to_end(consumer)) == 200
        consumer.close()
        consumer.close()
