"""What every log must do; inherit, provide the fixtures, and pytest runs it."""

import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Final, Protocol

import pytest

from oryx_py.errors import BrokerUnavailable, ConfigError, LogGap, OryxError, QueueFull, RecordTooLarge, TopicsChanged
from oryx_py.messages.partition import murmur2
from oryx_py.ports import (
    Consumer,
    Delivery,
    EndOfPartition,
    Outgoing,
    Partition,
    Producer,
    Record,
    TopicAdmin,
    TopicSpec,
)

__all__ = ["BreakableLog", "LogContract", "LogUnderTest", "OutageContract", "new_topic", "read_to_end", "send_all"]

DEADLINE_S: Final = 60.0
"""Of whatever a test waits for; generous, since machines that run tests are slow and shared."""


class LogUnderTest(Protocol):
    """A log as the contract sees it; who provides it closes what it handed out."""

    def producer(self) -> Producer:
        """Return a new producer."""

    def consumer(self, group_id: str | None = None) -> Consumer:
        """Return a new consumer."""

    def admin(self) -> TopicAdmin:
        """Return a new admin client."""

    def delete(self, topic: str) -> None:
        """Delete a topic and return when it is gone."""


class BreakableLog(LogUnderTest, Protocol):
    """A log of one test, whose broker can go away."""

    def small_producer(self) -> Producer:
        """Return a new producer whose queue holds ten records."""

    def hasty_clients(self) -> tuple[Consumer, TopicAdmin]:
        """Return a consumer with a group and an admin client that wait a second for an answer."""

    def outage(self) -> AbstractContextManager[None]:
        """Have no broker within."""


def new_topic(log: LogUnderTest, partitions: int = 1, **config: str) -> str:
    """Create a topic that no other test has."""
    name = f"contract-{uuid.uuid4().hex}"
    log.admin().create(TopicSpec(name, partitions, 1, {key.replace("_", "."): value for key, value in config.items()}))
    return name


def everything(topic: str, partitions: int = 1) -> dict[Partition, int]:
    """Return an assignment of all partitions from their beginning."""
    return {(topic, partition): 0 for partition in range(partitions)}


def read_until(
    consumer: Consumer, done: Callable[[list[Record | EndOfPartition]], bool], max_records: int = 500
) -> list[Record | EndOfPartition]:
    """Poll until ``done`` with all events so far."""
    deadline = time.monotonic() + DEADLINE_S
    events: list[Record | EndOfPartition] = []
    while not done(events):
        assert time.monotonic() < deadline, f"not there in time; so far {len(events)} events, the last {events[-3:]}"
        events += consumer.poll(max_records, 1.0)
    return events


def read_to_end(consumer: Consumer, max_records: int = 500) -> list[Record]:
    """Read until every assigned partition has said that this is its end."""

    def at_the_end(events: list[Record | EndOfPartition]) -> bool:
        ended = {(event.topic, event.partition) for event in events if isinstance(event, EndOfPartition)}
        return ended >= consumer.positions().keys()

    return records_of(read_until(consumer, at_the_end, max_records))


def records_of(events: Iterable[Record | EndOfPartition]) -> list[Record]:
    """Leave out the ends."""
    return [event for event in events if isinstance(event, Record)]


def send_all(producer: Producer, records: Iterable[Outgoing]) -> list[Delivery]:
    """Send records and return their deliveries in the order they were reported."""
    deliveries: list[Delivery] = []
    for record in records:
        producer.send(
            record.topic,
            record.value,
            key=record.key,
            headers=record.headers,
            partition=record.partition,
            on_delivery=deliveries.append,
        )
    producer.flush(DEADLINE_S)
    return deliveries


def error_of(consumer: Consumer, read: list[Record] | None = None) -> OryxError:
    """Poll until an error is raised, and return it; what comes before goes to ``read``."""
    read = [] if read is None else read
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        try:
            read += records_of(consumer.poll(500, 1.0))
        except OryxError as error:
            return error
    raise AssertionError("nothing was raised in time")


class LogContract:
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

    def test_an_empty_partition_has_an_end(self, log: LogUnderTest) -> None:
        """A reader of nothing learns that it has had everything."""
        topic = new_topic(log, partitions=2)
        consumer = log.consumer()
        consumer.assign(everything(topic, 2))
        assert read_to_end(consumer) == []
        assert consumer.positions() == everything(topic, 2)

    def test_the_end_is_told_each_time_it_is_reached(self, log: LogUnderTest) -> None:
        """After the records before it, and not again before there are more."""
        topic = new_topic(log)
        producer, consumer = log.producer(), log.consumer()
        consumer.assign(everything(topic))
        for round_ in range(3):
            send_all(producer, [Outgoing(topic, b"%d" % n) for n in range(2)])
            end = 2 * (round_ + 1)

            def reached(events: list[Record | EndOfPartition], end: int = end) -> bool:
                return EndOfPartition(topic, 0, end) in events

            events = read_until(consumer, reached)
            assert events[-1] == EndOfPartition(topic, 0, end)
            assert [record.offset for record in records_of(events)] == [end - 2, end - 1]
        assert consumer.poll(10, 0.3) == []

    def test_poll_returns_at_most_what_was_asked_for(self, log: LogUnderTest) -> None:
        """The position is that of what was returned, whatever has been read ahead."""
        topic = new_topic(log)
        send_all(log.producer(), [Outgoing(topic, b"%d" % n) for n in range(10)])
        consumer = log.consumer()
        consumer.assign(everything(topic))
        assert consumer.positions() == {(topic, 0): 0}
        read = 0
        while read < 10:
            events = records_of(consumer.poll(3, DEADLINE_S))
            assert 0 < len(events) <= 3
            read += len(events)
            assert consumer.positions() == {(topic, 0): read}

    def test_reading_begins_where_it_is_told(self, log: LogUnderTest) -> None:
        """A new assignment replaces the old one, forwards and backwards, and an empty one reads nothing."""
        topic = new_topic(log, partitions=2)
        send_all(log.producer(), [Outgoing(topic, b"%d" % n, None, (), n % 2) for n in range(20)])
        consumer = log.consumer()
        for start in (7, 2, 10):
            consumer.assign({(topic, 1): start})
            read = read_to_end(consumer)
            assert [(record.partition, record.offset) for record in read] == [(1, n) for n in range(start, 10)]
            assert consumer.positions() == {(topic, 1): 10}
        consumer.assign(everything(topic, 2))
        consumer.poll(1, DEADLINE_S)
        consumer.assign({})
        assert consumer.poll(10, 0.3) == []
        assert consumer.positions() == {}

    def test_an_offset_that_was_trimmed_is_a_gap(self, log: LogUnderTest) -> None:
        """It is said at each call until another offset is assigned; the position does not move."""
        topic = new_topic(log)
        send_all(log.producer(), [Outgoing(topic, b"%d" % n) for n in range(10)])
        log.admin().trim(topic, {0: 4})
        consumer = log.consumer()
        consumer.assign({(topic, 0): 3})
        assert isinstance(error_of(consumer), LogGap)
        with pytest.raises(LogGap):
            consumer.poll(10, 0.0)
        assert consumer.positions() == {(topic, 0): 3}
        consumer.assign({(topic, 0): 4})
        assert [record.offset for record in read_to_end(consumer)] == list(range(4, 10))

    def test_an_offset_beyond_the_end_is_a_gap(self, log: LogUnderTest) -> None:
        """The log has lost what the reader knows of; the end itself is no gap."""
        topic = new_topic(log)
        send_all(log.producer(), [Outgoing(topic, b"")])
        consumer = log.consumer()
        consumer.assign({(topic, 0): 2})
        assert isinstance(error_of(consumer), LogGap)
        consumer.assign({(topic, 0): 1})
        assert read_to_end(consumer) == []

    def test_a_topic_that_was_created_again_is_another(self, log: LogUnderTest) -> None:
        """It has another identity, and a reader of the old one is told of a gap."""
        topic, admin = new_topic(log), log.admin()
        send_all(log.producer(), [Outgoing(topic, b"%d" % n) for n in range(10)])
        consumer = log.consumer()
        consumer.assign(everything(topic))
        assert len(read_to_end(consumer)) == 10
        identity = admin.topic_id(topic)
        assert identity == log.admin().topic_id(topic)
        log.delete(topic)
        admin.create(TopicSpec(topic, 1, 1, {}))
        assert admin.topic_id(topic) != identity
        assert isinstance(error_of(consumer), LogGap)

    def test_a_gap_hides_no_other_partition_for_good(self, log: LogUnderTest) -> None:
        """Without the broken partition the others are read on from where they were."""
        topic = new_topic(log, partitions=2)
        send_all(log.producer(), [Outgoing(topic, b"%d" % n, None, (), n % 2) for n in range(10)])
        consumer = log.consumer()
        consumer.assign({(topic, 0): 99, (topic, 1): 0})
        read: list[Record] = []
        assert isinstance(error_of(consumer, read), LogGap)
        consumer.assign({where: at for where, at in consumer.positions().items() if where != (topic, 0)})
        assert [r.offset for r in [*read, *read_to_end(consumer)] if r.partition == 1] == list(range(5))

    def test_a_topic_or_partition_that_is_not_there_is_an_error(self, log: LogUnderTest) -> None:
        """For readers, senders and whoever asks; asking creates nothing."""
        topic, absent = new_topic(log), f"absent-{uuid.uuid4().hex}"
        admin, consumer, producer = log.admin(), log.consumer(), log.producer()
        for where in ((absent, 0), (topic, 1)):
            consumer.assign({where: 0})
            assert isinstance(error_of(consumer), TopicsChanged)
        for outgoing in (Outgoing(absent, b""), Outgoing(topic, b"", partition=1)):
            with pytest.raises(TopicsChanged):
                send_all(producer, [outgoing])
        asking: list[Callable[[str], object]] = [
            admin.start_offsets,
            admin.end_offsets,
            admin.topic_id,
            admin.config,
            lambda name: admin.offsets_at(name, 0),
            lambda name: admin.trim(name, {0: 1}),
        ]
        for ask in asking:
            with pytest.raises(TopicsChanged):
                ask(absent)
        assert admin.partitions(absent) is None

    def test_positions_are_kept_by_group(self, log: LogUnderTest) -> None:
        """What one consumer commits, a later one of the same group finds, and no other; reading is not moved by it."""
        topic, group = new_topic(log, partitions=2), f"group-{uuid.uuid4().hex}"
        both: list[Partition] = [(topic, 0), (topic, 1)]
        first = log.consumer(group)
        first.assign(everything(topic, 2))
        assert first.committed(both) == {(topic, 0): None, (topic, 1): None}
        first.commit({(topic, 1): 7})
        assert first.positions() == everything(topic, 2)
        first.close()
        second = log.consumer(group)
        assert second.committed(both) == {(topic, 0): None, (topic, 1): 7}
        second.commit({(topic, 0): 0, (topic, 1): 5})
        assert second.committed(both) == {(topic, 0): 0, (topic, 1): 5}
        assert log.consumer(f"{group}-other").committed(both) == {(topic, 0): None, (topic, 1): None}
        assert second.committed([]) == {}

    def test_positions_need_a_group(self, log: LogUnderTest) -> None:
        """A consumer without one has nowhere to keep them."""
        consumer = log.consumer()
        with pytest.raises(ConfigError):
            consumer.commit({("topic", 0): 1})
        with pytest.raises(ConfigError):
            consumer.committed([("topic", 0)])

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

    def test_closing_sends_what_is_queued(self, log: LogUnderTest) -> None:
        """Then the producer takes no more; closing again does nothing."""
        topic, producer = new_topic(log), log.producer()
        deliveries: list[Delivery] = []
        for n in range(100):
            producer.send(topic, b"%d" % n, on_delivery=deliveries.append)
        producer.close(DEADLINE_S)
        producer.close()
        assert [delivery.offset for delivery in deliveries] == list(range(100))
        with pytest.raises(BrokerUnavailable):
            producer.send(topic, b"late")
        consumer = log.consumer()
        consumer.close()
        consumer.close()

    def test_topics_are_created_once(self, log: LogUnderTest) -> None:
        """As asked for; a second time changes nothing; what makes no topic is the caller's mistake."""
        admin = log.admin()
        topic = new_topic(log, 3, retention_ms="-1", max_message_bytes="2000000")
        assert admin.partitions(topic) == 3
        admin.create(TopicSpec(topic, 5, 1, {}))
        assert admin.partitions(topic) == 3
        config = admin.config(topic)
        assert (config["retention.ms"], config["max.message.bytes"]) == ("-1", "2000000")
        assert "cleanup.policy" in config
        for spec in (TopicSpec("no such name", 1, 1, {}), TopicSpec(f"r-{uuid.uuid4().hex}", 1, 30, {})):
            with pytest.raises(ConfigError):
                admin.create(spec)

    def test_offsets_tell_the_extent_of_the_log(self, log: LogUnderTest) -> None:
        """Trimming moves the start, never the end."""
        topic, admin = new_topic(log, partitions=2), log.admin()
        assert (admin.start_offsets(topic), admin.end_offsets(topic)) == ({0: 0, 1: 0}, {0: 0, 1: 0})
        send_all(log.producer(), [Outgoing(topic, b"", partition=0)] * 5)
        admin.trim(topic, {0: 3})
        assert (admin.start_offsets(topic), admin.end_offsets(topic)) == ({0: 3, 1: 0}, {0: 5, 1: 0})
        admin.trim(topic, {0: 2, 1: 99})
        assert admin.start_offsets(topic) == {0: 3, 1: 0}
        admin.trim(topic, {0: 99})
        assert (admin.start_offsets(topic), admin.end_offsets(topic)) == ({0: 5, 1: 0}, {0: 5, 1: 0})
        admin.trim(topic, {})

    def test_offsets_are_found_by_time(self, log: LogUnderTest) -> None:
        """The first record of at least that time; the end where there is none."""
        topic, admin, producer = new_topic(log, 2, message_timestamp_type="LogAppendTime"), log.admin(), log.producer()
        for n in range(3):
            send_all(producer, [Outgoing(topic, b"%d" % n, partition=0)])
        consumer = log.consumer()
        consumer.assign(everything(topic, 2))
        times = [record.timestamp_ms for record in read_to_end(consumer)]
        for at in (0, *times, times[-1] + 1):
            first = next((offset for offset, ms in enumerate(times) if ms >= at), 3)
            assert admin.offsets_at(topic, at) == {0: first, 1: 0}

    def test_a_cluster_has_one_name(self, log: LogUnderTest) -> None:
        """Every client sees the same."""
        assert log.admin().cluster_id() == log.admin().cluster_id() != ""


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

    def test_closing_in_an_outage_gives_up(self, log: BreakableLog) -> None:
        """What was still queued is reported as not acknowledged, before close returns."""
        topic, producer = new_topic(log), log.producer()
        send_all(producer, [Outgoing(topic, b"")])
        deliveries: list[Delivery] = []
        with log.outage():
            producer.send(topic, b"", on_delivery=deliveries.append)
            producer.close(0.1)
            assert [type(delivery.error) for delivery in deliveries] == [BrokerUnavailable]


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
