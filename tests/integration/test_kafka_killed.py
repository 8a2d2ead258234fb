"""Kafka is killed with -9 while records are sent and read: nothing is lost, nothing comes twice, nothing hangs."""

import os
import signal
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator

import pytest

from oryx_py.adapters.kafka import KafkaAdmin, KafkaConsumer, KafkaProducer
from oryx_py.errors import BrokerUnavailable, QueueFull
from oryx_py.local.broker import EmbeddedBroker
from oryx_py.ports import Delivery, Record, TopicSpec

pytestmark = [pytest.mark.kafka, pytest.mark.xdist_group("killed")]

PARTITIONS = 3
KILLS = 2
DEADLINE_S = 120.0


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    broker = EmbeddedBroker(tmp_path_factory.mktemp("kafka") / "mortal", port=0)
    yield broker
    broker.stop()


@pytest.fixture
def broker(mortal: EmbeddedBroker) -> EmbeddedBroker:
    """One that runs, whatever a test before has done to it."""
    mortal.start(timeout_s=120)
    return mortal


def kill(broker: EmbeddedBroker) -> None:
    assert broker.process is not None
    os.kill(broker.process.pid, signal.SIGKILL)
    broker.process.wait()


class Sender(threading.Thread):
    """Sends numbers to all partitions in turn until it is told to stop."""

    def __init__(self, producer: KafkaProducer, topic: str) -> None:
        super().__init__()
        self.sent = 0
        self.deliveries: dict[int, list[Delivery]] = defaultdict(list)
        self.enough = threading.Event()
        self._producer, self._topic = producer, topic

    def run(self) -> None:
        while not self.enough.is_set():
            partition = self.sent % PARTITIONS
            try:
                self._producer.send(
                    self._topic,
                    b"%d" % self.sent,
                    partition=partition,
                    on_delivery=self.deliveries[partition].append,
                )
                self.sent += 1
            except QueueFull:
                self.enough.wait(0.01)
            if not self.sent % 100:
                self.enough.wait(0.005)

    @property
    def acknowledged(self) -> int:
        return sum(map(len, self.deliveries.values()))


class Reader(threading.Thread):
    """Reads all partitions until it has had so many records."""

    def __init__(self, consumer: KafkaConsumer, topic: str) -> None:
        super().__init__()
        self.read: dict[int, list[Record]] = defaultdict(list)
        self.wanted = -1
        self._consumer, self._topic = consumer, topic
        self._deadline = time.monotonic() + 2 * DEADLINE_S

    def run(self) -> None:
        self._consumer.assign({(self._topic, partition): 0 for partition in range(PARTITIONS)})
        while self.count != self.wanted and time.monotonic() < self._deadline:
            for event in self._consumer.poll(1000, 0.1):
                if isinstance(event, Record):
                    self.read[event.partition].append(event)

    @property
    def count(self) -> int:
        return sum(map(len, self.read.values()))


def test_a_killed_broker_loses_and_doubles_nothing(broker: EmbeddedBroker) -> None:
    """One producer and one consumer live through it; what was acknowledged is what is read, in order, once."""
    topic = f"killed-{uuid.uuid4().hex}"
    KafkaAdmin(broker.bootstrap_servers, {}).create(TopicSpec(topic, PARTITIONS, 1, {}))
    producer = KafkaProducer(broker.bootstrap_servers, {"queue.buffering.max.messages": "5000"})
    consumer = KafkaConsumer(broker.bootstrap_servers, {})
    sender, reader = Sender(producer, topic), Reader(consumer, topic)
    reader.start()
    sender.start()
    try:
        for _ in range(KILLS):
            until = sender.acknowledged + 5000
            deadline = time.monotonic() + DEADLINE_S
            while sender.acknowledged < until:
                assert time.monotonic() < deadline, f"{sender.acknowledged} of {until} were acknowledged in time"
                time.sleep(0.01)
            kill(broker)
            broker.start(timeout_s=120)
        sender.enough.set()
        sender.join()
        producer.flush(DEADLINE_S)
        reader.wanted = sender.sent
        reader.join()
    finally:
        sender.enough.set()
        reader.wanted = reader.count
        producer.close()
        sender.join()
        reader.join()
        consumer.close()
    for partition in range(PARTITIONS):
        deliveries, read = sender.deliveries[partition], reader.read[partition]
        assert {delivery.error for delivery in deliveries} == {None}
        assert [record.offset for record in read] == [delivery.offset for delivery in deliveries]
        assert [int(record.value or b"") for record in read] == list(range(partition, sender.sent, PARTITIONS))


def test_positions_are_stored_in_bounded_time_while_the_broker_dies(broker: EmbeddedBroker) -> None:
    """A commit on its way when the broker dies ends with BrokerUnavailable; the next one after its return is stored."""
    where = (f"killed-{uuid.uuid4().hex}", 0)
    KafkaAdmin(broker.bootstrap_servers, {}).create(TopicSpec(where[0], 1, 1, {}))
    for offset in range(1, 7, 2):
        consumer = KafkaConsumer(broker.bootstrap_servers, {}, "group", timeout_s=0.5)
        commit_until_stored(consumer, where, offset)
        assert broker.process is not None
        os.kill(broker.process.pid, signal.SIGKILL)  # and not waited for: it dies under the commit
        with pytest.raises(BrokerUnavailable):
            commit_for_ever(consumer, where, offset)
        broker.process.wait()
        broker.start(timeout_s=120)
        commit_until_stored(consumer, where, offset + 1)
        assert consumer.committed([where]) == {where: offset + 1}
        consumer.close()


def test_everything_closes_without_a_broker(broker: EmbeddedBroker) -> None:
    """What is open when Kafka is gone for good does not keep the process."""
    topic = f"killed-{uuid.uuid4().hex}"
    KafkaAdmin(broker.bootstrap_servers, {}).create(TopicSpec(topic, 1, 1, {}))
    producer = KafkaProducer(broker.bootstrap_servers, {})
    consumer = KafkaConsumer(broker.bootstrap_servers, {}, "group", timeout_s=0.5)
    consumer.assign({(topic, 0): 0})
    producer.send(topic, b"")
    producer.flush(DEADLINE_S)
    commit_until_stored(consumer, (topic, 0), 1)
    kill(broker)
    producer.send(topic, b"")
    with pytest.raises(BrokerUnavailable):
        consumer.commit({(topic, 0): 1})
    closing = [threading.Thread(target=lambda: producer.close(0.1), daemon=True)]
    closing.append(threading.Thread(target=consumer.close, daemon=True))
    for thread in closing:
        thread.start()
    for thread in closing:
        thread.join(DEADLINE_S)
    assert [thread.is_alive() for thread in closing] == [False, False]


def commit_for_ever(consumer: KafkaConsumer, where: tuple[str, int], offset: int) -> None:
    while True:
        consumer.commit({where: offset})


def commit_until_stored(consumer: KafkaConsumer, where: tuple[str, int], offset: int) -> None:
    """Commit until Kafka takes it: its groups are not there at once after a start."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        try:
            consumer.commit({where: offset})
        except BrokerUnavailable:
            assert time.monotonic() < deadline
        else:
            return
