"""The fake log and Kafka keep one contract."""

import os
import signal
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from oryx_py.adapters.kafka import KafkaAdmin, KafkaConsumer, KafkaProducer
from oryx_py.local.broker import EmbeddedBroker
from oryx_py.ports import Outgoing
from oryx_py.testing.contracts.log_contract import LogContract
from oryx_py.testing.contracts.outage_contract import OutageContract
from oryx_py.testing.fake_log import FakeAdmin, FakeConsumer, FakeLog, FakeProducer
from tests.support.system import eventually


class Fake:
    def __init__(self, closing: ExitStack) -> None:
        self._log = FakeLog()
        self._closing = closing

    def producer(self) -> FakeProducer:
        return self._closed_later(FakeProducer(self._log))

    def small_producer(self) -> FakeProducer:
        return self._closed_later(FakeProducer(self._log, capacity=10))

    def consumer(self, group_id: str | None = None) -> FakeConsumer:
        return FakeConsumer(self._log, group_id)

    def admin(self) -> FakeAdmin:
        return FakeAdmin(self._log)

    def hasty_clients(self) -> tuple[FakeConsumer, FakeAdmin]:
        return self.consumer("group"), self.admin()

    def transaction(self, outgoing: Outgoing) -> AbstractContextManager[None]:
        return self._log.transaction(outgoing)

    def delete(self, topic: str) -> None:
        self._log.delete(topic)

    def outage(self) -> AbstractContextManager[None]:
        return self._log.outage()

    def _closed_later(self, producer: FakeProducer) -> FakeProducer:
        self._closing.callback(producer.close)
        return producer


class Kafka:
    def __init__(self, broker: EmbeddedBroker, closing: ExitStack) -> None:
        self._broker = broker
        self._servers = broker.bootstrap_servers
        self._closing = closing

    def producer(self, **client: str) -> KafkaProducer:
        producer = KafkaProducer(self._servers, client)
        self._closing.callback(producer.close)
        return producer

    def small_producer(self) -> KafkaProducer:
        producer = KafkaProducer(self._servers, {"queue.buffering.max.messages": "10"})
        self._closing.callback(producer.close)
        return producer

    def consumer(self, group_id: str | None = None, *, timeout_s: float = 10.0) -> KafkaConsumer:
        consumer = KafkaConsumer(self._servers, {}, group_id, timeout_s=timeout_s)
        self._closing.callback(consumer.close)
        return consumer

    def admin(self) -> KafkaAdmin:
        return KafkaAdmin(self._servers, {})

    def hasty_clients(self) -> tuple[KafkaConsumer, KafkaAdmin]:
        return self.consumer("group", timeout_s=1.0), KafkaAdmin(self._servers, {}, timeout_s=1.0)

    @contextmanager
    def transaction(self, outgoing: Outgoing) -> Iterator[None]:
        producer = Producer({"bootstrap.servers": self._servers, "transactional.id": uuid.uuid4().hex})
        producer.init_transactions(60)
        producer.begin_transaction()
        producer.produce(outgoing.topic, outgoing.value, partition=outgoing.partition or 0)
        assert producer.flush(60) == 0
        yield
        producer.commit_transaction(60)

    def delete(self, topic: str) -> None:
        client = AdminClient({"bootstrap.servers": self._servers})
        client.delete_topics([topic])[topic].result(30)
        eventually(lambda: self.admin().partitions(topic) is None, timeout_s=30)

    @contextmanager
    def outage(self) -> Iterator[None]:
        process = self._broker.process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        try:
            yield
        finally:
            self._broker.start(timeout_s=120)
            assert self._broker.bootstrap_servers == self._servers


@pytest.fixture(scope="module")
def mortal_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    broker = EmbeddedBroker(tmp_path_factory.mktemp("kafka") / "mortal", port=0)
    try:
        broker.start(timeout_s=120)
        yield broker
    finally:
        broker.stop()


class TestFakeLog(LogContract, OutageContract):
    @pytest.fixture
    def log(self) -> Iterator[Fake]:
        with ExitStack() as closing:
            yield Fake(closing)


@pytest.mark.kafka
class TestKafka(LogContract):
    @pytest.fixture
    def log(self, kafka_broker: EmbeddedBroker) -> Iterator[Kafka]:
        with ExitStack() as closing:
            yield Kafka(kafka_broker, closing)


@pytest.mark.kafka
@pytest.mark.xdist_group("outage")
class TestKafkaInAnOutage(OutageContract):
    """Outage means kill -9 here."""

    @pytest.fixture
    def log(self, mortal_broker: EmbeddedBroker) -> Iterator[Kafka]:
        with ExitStack() as closing:
            yield Kafka(mortal_broker, closing)
