"""What Kafka does seldom and a stand-in for librdkafka at once: clients that end for good, headers nobody can read."""

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, Message
from confluent_kafka.admin import ClusterMetadata, PartitionMetadata, TopicMetadata

from oryx_py.adapters.kafka import KafkaConsumer, KafkaProducer
from oryx_py.adapters.kafka import consumer as kafka_consumer
from oryx_py.adapters.kafka import link as kafka_link
from oryx_py.adapters.kafka.client import ANSWER_S
from oryx_py.errors import BrokerUnavailable, ConfigError, OryxError
from oryx_py.ports import Delivery, Outgoing, Record
from tests.support.system import eventually
from tests.support.ticking import Ticking

WAIT_S = 30.0


class ScriptedProducer:
    """librdkafka's producer as far as ours uses it; it acknowledges what it gets until it has failed for good."""

    started: list["ScriptedProducer"]

    def __init__(self, configuration: dict[str, Any]) -> None:
        self.on_error = configuration["error_cb"]
        self._tells_successes = not configuration["delivery.report.only.error"]
        self._reports: list[tuple[Callable[[KafkaError | None], object], KafkaError | None]] = []
        self._changed = threading.Condition()
        self.error: KafkaError | None = None
        self._untold = False
        self.holding = False
        self.offset = 7
        self.closed = False
        self.started.append(self)

    def produce(
        self, topic: str, value: bytes | None, key: bytes | None, partition: int, report: Any, *_: object
    ) -> None:
        with self._changed:
            if self.error is not None:
                raise KafkaException(KafkaError(KafkaError._FATAL))
            message = Message(topic=topic, partition=0, offset=self.offset)
            self._reports.append((lambda error: report(error, message), None))
            self._changed.notify_all()

    def poll(self, timeout: float) -> int:
        with self._changed:
            self._changed.wait_for(lambda: self._untold or (self._reports and not self.holding), timeout)
            if self._untold:
                self._untold = False
                assert self.error is not None
                raise KafkaException(self.error)
            reports = [] if self.holding else self._reports[:]
        told = [(report, error) for report, error in reports if error is not None or self._tells_successes]
        for report, error in told:
            report(error)
        with self._changed:
            del self._reports[: len(reports)]
        return len(reports)

    def end(self, error: KafkaError) -> None:
        """End for good, which confluent-kafka raises and tells no callback."""
        with self._changed:
            self.error = error
            self._untold = True
            self._changed.notify_all()

    def purge(self) -> None:
        self.give_up(KafkaError._PURGE_QUEUE)

    def give_up(self, code: int) -> None:
        """Have what is held fail."""
        with self._changed:
            self.holding = False
            self._reports = [(report, KafkaError(code)) for report, _ in self._reports]
            self._changed.notify_all()

    def close(self) -> None:
        self.closed = True

    def __len__(self) -> int:
        return len(self._reports)


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> list[ScriptedProducer]:
    monkeypatch.setattr(ScriptedProducer, "started", [], raising=False)
    monkeypatch.setattr(kafka_link, "Client", ScriptedProducer)
    monkeypatch.setattr(kafka_link, "_RESTART_S", 0.0)
    return ScriptedProducer.started


def test_a_client_that_ends_for_good_is_replaced(scripted: list[ScriptedProducer]) -> None:
    """What it held is reported as failed, once; what comes later is sent by the next."""
    producer = KafkaProducer("nowhere:1", {})
    deliveries: list[Delivery] = []
    scripted[0].holding = True
    producer.send("topic", b"held", on_delivery=deliveries.append)
    scripted[0].end(KafkaError(KafkaError.INVALID_PRODUCER_EPOCH, "fenced", fatal=True))
    with pytest.raises(BrokerUnavailable):
        producer.flush(WAIT_S)
    eventually(lambda: len(scripted) == 2, WAIT_S)
    producer.send("topic", b"later", on_delivery=deliveries.append)
    producer.flush(WAIT_S)
    producer.close()
    assert [type(delivery.error) for delivery in deliveries] == [BrokerUnavailable, type(None)]
    assert deliveries[1].offset == 7
    assert [client.closed for client in scripted] == [True, True]


def test_another_is_tried_for_until_there_is_one(
    scripted: list[ScriptedProducer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a file of certificates is being exchanged; nor does closing meanwhile hang or fail."""
    first, second = KafkaProducer("nowhere:1", {}), KafkaProducer("nowhere:1", {})
    tried: list[KafkaException] = []

    def client(configuration: dict[str, Any]) -> ScriptedProducer:
        if len(tried) < 3:
            tried.append(KafkaException(KafkaError(KafkaError._INVALID_ARG, "no such file")))
            raise tried[-1]
        return ScriptedProducer(configuration)

    monkeypatch.setattr(kafka_link, "Client", client)
    scripted[0].end(KafkaError(KafkaError.INVALID_PRODUCER_EPOCH, "fenced", fatal=True))
    eventually(lambda: len(scripted) == 3, WAIT_S)
    first.send("topic", b"later")
    first.flush(WAIT_S)
    monkeypatch.setattr(kafka_link, "_RESTART_S", 60.0)
    scripted[1].end(KafkaError(KafkaError.INVALID_PRODUCER_EPOCH, "fenced", fatal=True))
    eventually(lambda: scripted[1].closed, WAIT_S)
    for producer in (first, second):
        producer.close()
    assert len(tried) == 3
    assert [one.closed for one in scripted] == [True, True, True]


def test_a_place_that_the_broker_did_not_tell_is_no_number_of_librdkafkas(scripted: list[ScriptedProducer]) -> None:
    """As when a request's outcome was unclear, and that of the next one said that both are stored."""
    producer = KafkaProducer("nowhere:1", {})
    scripted[0].offset = -1001
    deliveries: list[Delivery] = []
    producer.send("topic", b"", on_delivery=deliveries.append)
    producer.flush(WAIT_S)
    producer.close()
    assert deliveries == [Delivery(0, -1)]


def test_of_what_was_sent_together_a_client_that_ends_for_good_tells_all_that_it_held(
    scripted: list[ScriptedProducer],
) -> None:
    """So that who has sent it sends it again."""
    producer = KafkaProducer("nowhere:1", {})
    failures: list[tuple[int, OryxError]] = []
    producer.send_many([], lambda *failure: failures.append(failure))
    scripted[1].holding = True
    producer.send_many([Outgoing("topic", b"")] * 3, lambda *failure: failures.append(failure))
    scripted[1].end(KafkaError(KafkaError.INVALID_PRODUCER_EPOCH, "fenced", fatal=True))
    with pytest.raises(BrokerUnavailable):
        producer.flush(WAIT_S)
    producer.flush(WAIT_S)
    producer.close()
    assert [(number, type(error)) for number, error in failures] == [(n, BrokerUnavailable) for n in range(3)]
    assert all(client.closed for client in scripted)


def test_between_two_clients_sending_can_be_retried(scripted: list[ScriptedProducer]) -> None:
    """It fails as an outage does."""
    producer = KafkaProducer("nowhere:1", {})
    scripted[0].error = KafkaError(KafkaError._FATAL)
    with pytest.raises(BrokerUnavailable):
        producer.send("topic", b"")
    scripted[0].error = None
    producer.send_many([], lambda *_: None)
    scripted[1].error = KafkaError(KafkaError._FATAL)
    with pytest.raises(BrokerUnavailable):
        producer.send_many([Outgoing("topic", b"")], lambda *_: None)
    scripted[1].error = None
    producer.close()


def test_credentials_that_are_refused_are_told(scripted: list[ScriptedProducer]) -> None:
    """Kafka only lets the records time out; the reason came before and is the one reported."""
    producer = KafkaProducer("nowhere:1", {})
    deliveries: list[Delivery] = []
    scripted[0].holding = True
    producer.send("topic", b"", on_delivery=deliveries.append)
    scripted[0].on_error(KafkaError(KafkaError._AUTHENTICATION, "wrong password"))
    scripted[0].end(KafkaError(KafkaError.INVALID_PRODUCER_EPOCH, "fenced", fatal=True))
    with pytest.raises(ConfigError, match="wrong password"):
        producer.flush(WAIT_S)
    producer.close()
    assert [type(delivery.error) for delivery in deliveries] == [ConfigError]


class Sending:
    """The two ways to send, and what became of the records that failed."""

    def __init__(self, together: bool, clients: list[ScriptedProducer]) -> None:
        self._together = together
        self._producer = KafkaProducer("nowhere:1", {})
        self._producer.send_many([], lambda *_: None)
        self.client = clients[-1] if together else clients[-2]
        self.failures: list[OryxError] = []

    def send(self) -> None:
        if self._together:
            self._producer.send_many([Outgoing("topic", b"")], lambda _, error: self.failures.append(error))
        else:
            self._producer.send("topic", b"", on_delivery=self._delivered)

    def flush(self) -> None:
        with suppress(OryxError):
            self._producer.flush(WAIT_S)

    def time_out(self) -> None:
        """Send a record that is held until it is given up."""
        self.client.holding = True
        self.send()
        self.client.give_up(KafkaError._MSG_TIMED_OUT)
        self.flush()

    def close(self) -> None:
        self._producer.close()

    def _delivered(self, delivery: Delivery) -> None:
        if delivery.error is not None:
            self.failures.append(delivery.error)


@pytest.fixture(params=[False, True], ids=["alone", "together"])
def sending(request: pytest.FixtureRequest, scripted: list[ScriptedProducer]) -> Iterator[Sending]:
    sending = Sending(request.param, scripted)
    yield sending
    sending.close()


REFUSED = KafkaError(KafkaError._AUTHENTICATION, "no new token")


def test_a_refusal_explains_nothing_that_fails_after_others_were_acknowledged(sending: Sending) -> None:
    """Also where nothing is reported but failures."""
    sending.client.on_error(REFUSED)
    sending.send()
    sending.flush()
    sending.time_out()
    assert [type(error) for error in sending.failures] == [BrokerUnavailable]
    assert "no new token" not in str(sending.failures[0])


def test_a_refusal_of_who_was_let_in_before_may_pass(sending: Sending) -> None:
    """So its records are to be sent again; why they fail is said all the same."""
    sending.send()
    sending.flush()
    sending.client.on_error(REFUSED)
    sending.time_out()
    assert [type(error) for error in sending.failures] == [BrokerUnavailable]
    assert "no new token" in str(sending.failures[0])


def test_a_refusal_of_who_was_never_let_in_stays_one(sending: Sending) -> None:
    """However often a flush finds nothing to wait for, or records are sent again."""
    sending.client.on_error(REFUSED)
    for _ in range(2):
        sending.flush()
        sending.time_out()
    assert [type(error) for error in sending.failures] == [ConfigError] * 2
    assert "no new token" in str(sending.failures[1])


def test_a_refusal_is_logged_once(sending: Sending, caplog: pytest.LogCaptureFixture) -> None:
    """Who sends again what fails tells nobody why."""
    for _ in range(3):
        sending.client.on_error(REFUSED)
    assert caplog.text.count("no new token") == 1


def test_a_callback_that_raises_stops_nobody(
    scripted: list[ScriptedProducer], caplog: pytest.LogCaptureFixture
) -> None:
    """The thread that serves all callbacks lives on, and the log has the traceback."""
    producer = KafkaProducer("nowhere:1", {})
    deliveries: list[Delivery] = []

    def broken(delivery: Delivery) -> None:
        raise ValueError("in a callback")

    producer.send("topic", b"", on_delivery=broken)
    producer.send("topic", b"", on_delivery=deliveries.append)
    producer.flush(WAIT_S)
    producer.close()
    assert [delivery.error for delivery in deliveries] == [None]
    assert "in a callback" in caplog.text


class Unreadable(Message):
    """A message whose header's name is not UTF-8: confluent-kafka fails like this."""

    def headers(self) -> Any:
        raise SystemError("returned a result with an exception set")


class ScriptedConsumer:
    """librdkafka's consumer as far as ours uses it; waiting takes no time but the clock's."""

    messages: list[Message]
    clock: Ticking
    answers: bool
    """Whether the broker does."""
    started: "ScriptedConsumer"

    def __init__(self, configuration: dict[str, Any]) -> None:
        self.on_error = configuration["error_cb"]
        type(self).started = self

    def assign(self, partitions: object) -> None:
        pass

    def poll(self, timeout: float) -> Message | None:
        if self.messages:
            return self.messages.pop(0)
        self.clock.sleep(timeout)
        return None

    def list_topics(self, topic: str, timeout: float) -> ClusterMetadata:
        if not self.answers or timeout <= 0:
            self.clock.sleep(timeout)
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))
        found = ClusterMetadata()
        found.topics = {topic: TopicMetadata()}
        found.topics[topic].partitions = {0: PartitionMetadata()}
        return found

    def consume(self, count: int, timeout: float) -> list[Message]:
        taken, self.messages = self.messages[:count], self.messages[count:]
        return taken

    def close(self) -> None:
        pass


@pytest.fixture
def scripted_consumer(monkeypatch: pytest.MonkeyPatch) -> KafkaConsumer:
    for name, value in (("messages", []), ("clock", Ticking()), ("answers", True)):
        monkeypatch.setattr(ScriptedConsumer, name, value, raising=False)
    monkeypatch.setattr(kafka_consumer, "Client", ScriptedConsumer)
    monkeypatch.setattr(kafka_consumer, "time", ScriptedConsumer.clock)
    consumer = KafkaConsumer("nowhere:1", {})
    consumer.assign({("topic", 0): 0})
    return consumer


def message(offset: int, kind: type[Message] = Message, **fields: Any) -> Message:
    return kind(topic="topic", partition=0, offset=offset, value=b"", timestamp=(2, 5), **fields)


def test_headers_that_nobody_can_read_stop_nobody(
    scripted_consumer: KafkaConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record comes without any; its neighbours have theirs."""
    headers = [("id", b"1"), ("empty", None)]
    messages = [message(0, headers=headers), message(1, Unreadable), message(2)]
    monkeypatch.setattr(ScriptedConsumer, "messages", messages, raising=False)
    read = scripted_consumer.poll(10, 1.0)
    assert [record.headers for record in read if isinstance(record, Record)] == [(("id", b"1"), ("empty", b"")), (), ()]
    assert scripted_consumer.positions() == {("topic", 0): 3}


def test_passing_troubles_are_not_raised(scripted_consumer: KafkaConsumer, monkeypatch: pytest.MonkeyPatch) -> None:
    """librdkafka tries again by itself; what was read beside them is returned."""
    troubles = [message(0, error=KafkaError(code)) for code in (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN)]
    monkeypatch.setattr(ScriptedConsumer, "messages", [*troubles, message(0)], raising=False)
    assert [type(event) for event in scripted_consumer.poll(10, 1.0)] == [Record]
    assert scripted_consumer.poll(10, 0.0) == []


def test_refused_credentials_are_raised_after_what_was_read(
    scripted_consumer: KafkaConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And at every call from then on, until something else is assigned."""
    refused = message(1, error=KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))
    monkeypatch.setattr(ScriptedConsumer, "messages", [message(0), refused], raising=False)
    assert len(scripted_consumer.poll(10, 1.0)) == 1
    for _ in range(2):
        with pytest.raises(ConfigError):
            scripted_consumer.poll(10, 0.0)
    scripted_consumer.assign({})
    assert scripted_consumer.poll(10, 0.0) == []


@pytest.mark.parametrize("wait_s", [0.5, 0.0], ids=["waiting", "at-once"])
def test_a_refusal_of_who_is_answered_passes(scripted_consumer: KafkaConsumer, wait_s: float) -> None:
    """As where a token could not be renewed once: connections go on, though a topic may have nothing new for hours."""
    for _ in range(3):
        ScriptedConsumer.started.on_error(REFUSED)
        for _ in range(100):
            assert scripted_consumer.poll(10, wait_s) == []
            ScriptedConsumer.clock.sleep(1.0)


def test_a_refusal_of_who_gets_records_passes(scripted_consumer: KafkaConsumer) -> None:
    ScriptedConsumer.answers = False
    ScriptedConsumer.started.on_error(REFUSED)
    ScriptedConsumer.messages = [message(0)]
    assert len(scripted_consumer.poll(10, 1.0)) == 1
    ScriptedConsumer.clock.sleep(3600.0)
    assert scripted_consumer.poll(10, 1.0) == []


def test_a_refusal_of_who_is_not_answered_is_raised_until_that_changes(scripted_consumer: KafkaConsumer) -> None:
    """With what was said last; an assignment is answered no more than what it replaces."""
    ScriptedConsumer.answers = False
    ScriptedConsumer.started.on_error(KafkaError(KafkaError._AUTHENTICATION, "in another's words"))
    for _ in range(4):
        assert scripted_consumer.poll(10, 1.0) == []
    ScriptedConsumer.started.on_error(REFUSED)
    scripted_consumer.assign({("topic", 0): 0})
    ScriptedConsumer.clock.sleep(ANSWER_S)
    for _ in range(2):
        with pytest.raises(ConfigError, match="no new token"):
            scripted_consumer.poll(10, 1.0)
    ScriptedConsumer.messages = [message(0)]
    assert len(scripted_consumer.poll(10, 1.0)) == 1
    assert scripted_consumer.poll(10, 1.0) == []
