"""Kafka's configuration and errors, in the project's words."""

import logging
import threading

import pytest
from confluent_kafka import KafkaError, KafkaException

from oryx_py.adapters.kafka.admin import KafkaAdmin
from oryx_py.adapters.kafka.client import LOG, configuration, translate, until_answered
from oryx_py.adapters.kafka.producer import KafkaProducer
from oryx_py.errors import (
    BrokerUnavailable,
    ConfigError,
    LogGap,
    OryxError,
    RecordTooLarge,
    TopicsChanged,
)
from oryx_py.local.ports import choose
from tests.support.ticking import Ticking


def test_the_user_tunes_but_does_not_break() -> None:
    """A property of the user goes above the project's choice, not above what the guarantees rest on."""
    merged = configuration(
        "host:1", {"linger.ms": "5", "acks": "All"}, tuned={"linger.ms": 0, "x": 1}, fixed={"acks": "all", "y": True}
    )
    assert (merged["linger.ms"], merged["x"], merged["acks"], merged["y"]) == ("5", 1, "all", True)
    assert merged["bootstrap.servers"] == "host:1"
    for name, value in (("acks", "1"), ("y", "false")):
        with pytest.raises(ConfigError, match=name):
            configuration("host:1", {name: value}, tuned={}, fixed={"acks": "all", "y": True})
    assert configuration("host:1", {"y": "TRUE"}, tuned={}, fixed={"y": True})["y"] is True


def test_a_topic_that_is_not_there_is_not_made_by_sending_to_it() -> None:
    """Whatever the broker allows, as this one of librdkafka's own does: it would have that broker's defaults."""
    producer = KafkaProducer(
        "nowhere:1", {"test.mock.num.brokers": "1", "topic.metadata.propagation.max.ms": "100"}, delivery_timeout_s=30.0
    )
    producer.send("absent", b"")
    with pytest.raises(TopicsChanged):
        producer.flush(60.0)
    producer.close()
    with pytest.raises(ConfigError, match=r"allow\.auto\.create\.topics"):
        KafkaProducer("nowhere:1", {"allow.auto.create.topics": "true"})


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (KafkaError._MSG_TIMED_OUT, BrokerUnavailable),
        (KafkaError._TRANSPORT, BrokerUnavailable),
        (KafkaError._PURGE_QUEUE, BrokerUnavailable),
        (KafkaError.NOT_ENOUGH_REPLICAS, BrokerUnavailable),
        (KafkaError._AUTHENTICATION, ConfigError),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, ConfigError),
        (KafkaError.INVALID_REPLICATION_FACTOR, ConfigError),
        (KafkaError._INVALID_ARG, ConfigError),
        (KafkaError.UNKNOWN_MEMBER_ID, ConfigError),
        (KafkaError._UNKNOWN_PARTITION, TopicsChanged),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, TopicsChanged),
        (KafkaError._AUTO_OFFSET_RESET, LogGap),
        (KafkaError._LOG_TRUNCATION, LogGap),
        (KafkaError.MSG_SIZE_TOO_LARGE, RecordTooLarge),
    ],
)
def test_an_error_is_named_by_its_remedy(code: int, kind: type[OryxError]) -> None:
    """The cause is kept, and the message says what was being done."""
    for error in (KafkaError(code, "as Kafka says it"), KafkaException(KafkaError(code, "as Kafka says it"))):
        translated = translate(error, "doing this")
        assert type(translated) is kind
        assert str(translated).startswith("doing this: as Kafka says it")
        assert isinstance(translated.__cause__, KafkaException)


def test_a_value_that_the_client_refuses_is_the_settings() -> None:
    """It is a ValueError there."""
    assert type(translate(ValueError("no such thing"), "starting")) is ConfigError


def test_a_request_is_repeated_while_kafka_is_not_there() -> None:
    """Until it answers."""
    failures = [KafkaError(KafkaError.COORDINATOR_LOAD_IN_PROGRESS), KafkaError(KafkaError._TRANSPORT)]

    def call(within_s: float) -> str:
        assert 0 < within_s <= 60
        if failures:
            raise KafkaException(failures.pop())
        return "answer"

    assert until_answered(call, doing="asking", timeout_s=60) == "answer"


@pytest.mark.parametrize(
    ("code", "kind", "repeats"),
    [(KafkaError._TIMED_OUT, BrokerUnavailable, True), (KafkaError.GROUP_AUTHORIZATION_FAILED, ConfigError, False)],
)
def test_a_request_ends(monkeypatch: pytest.MonkeyPatch, code: int, kind: type[OryxError], repeats: bool) -> None:
    """When the time is up, or at once when repeating would not help."""
    monkeypatch.setattr("oryx_py.adapters.kafka.client.time", Ticking())
    calls = 0

    def call(within_s: float) -> None:
        nonlocal calls
        calls += 1
        raise KafkaException(KafkaError(code))

    with pytest.raises(kind):
        until_answered(call, doing="asking", timeout_s=0.2)
    assert (calls > 1) is repeats


def test_a_broker_that_does_not_answer_is_one_line_that_says_where_to_look() -> None:
    admin = KafkaAdmin(f"127.0.0.1:{choose(())}", {}, timeout_s=0.2)
    with pytest.raises(BrokerUnavailable, match=r"looking for in: .*see that Kafka runs at kafka\.bootstrap_servers"):
        admin.partitions("in")


def test_an_outage_does_not_flood_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """One line of a kind and client a minute; other kinds, other clients and our own lines pass."""
    caplog.set_level(logging.DEBUG, LOG.name)
    times = [(1000.0, "a"), (1000.5, "a"), (1001.0, "b"), (1059.0, "a"), (1060.0, "a")]
    for now, client in times:
        emit(now, "FAIL", client, f"refused at {now}")
    emit(1000.6, "GETPID", "a", "another kind")
    LOG.warning("ours")
    LOG.warning("ours")
    passed = [record.args[2] if record.args else record.msg for record in ours(caplog)]  # type: ignore[index]
    assert passed == ["refused at 1000.0", "refused at 1001.0", "refused at 1060.0", "another kind", "ours", "ours"]


def test_a_property_for_the_other_kind_of_client_is_not_worth_a_line(caplog: pytest.LogCaptureFixture) -> None:
    """One kafka.client is for producers and consumers; a value that is really wrong is told."""
    emit(1.0, "CONFWARN", "c", "linger.ms is a producer property and will be ignored by this consumer instance")
    emit(2.0, "CONFWARN", "c", "message.max.bytes is odd")
    assert len(ours(caplog)) == 1


def ours(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """What was logged here, and not by the thread of some client that an earlier test has left."""
    return [record for record in caplog.records if record.thread == threading.get_ident()]


def emit(created: float, facility: str, client: str, text: str) -> None:
    record = LOG.makeRecord(LOG.name, logging.WARNING, __file__, 1, "%s [%s] %s", (facility, client, text), None)
    record.created = created
    LOG.handle(record)
