"""What all Kafka clients share: their configuration, and their errors in the project's words."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from confluent_kafka import KafkaError, KafkaException

from oryx_py.errors import BrokerUnavailable, ConfigError, LogGap, OryxError, RecordTooLarge, TopicsChanged

__all__ = ["ANSWER_S", "LOG", "Refusals", "configuration", "refuses_us", "translate", "until_answered"]

V = TypeVar("V")

ANSWER_S: Final = 10.0
"""How long a call that waits for the broker waits: longer than the embedded broker's way back after kill -9 (4 s)."""

LOG: Final = logging.getLogger("oryx_py.kafka")
"""Takes librdkafka's own lines, which would go to stderr by themselves."""


class _WorthReading(logging.Filter):
    """Lets one of librdkafka's lines of a kind and client pass a minute: during an outage it writes one an attempt.

    That a consumer ignores a producer's property is never worth a line: one ``kafka.client`` is for both.
    """

    def __init__(self) -> None:
        super().__init__()
        self._passed: dict[object, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not isinstance(record.args, tuple) or len(record.args) != 3:  # facility, client, text; else it is ours
            return True
        facility, client, text = record.args
        if facility == "CONFWARN" and "will be ignored" in str(text):
            return False
        if record.created - self._passed.get((facility, client), -_QUIET_S) < _QUIET_S:
            return False
        self._passed[facility, client] = record.created
        return True


LOG.addFilter(_WorthReading())

_QUIET_S: Final = 60.0
_RETRY_S: Final = 0.05

_SHARED: Final[dict[str, Any]] = {
    "client.id": "oryx",
    "socket.nagle.disable": True,  # a record alone must not wait for the acknowledgement of the packet before it
    "reconnect.backoff.ms": 50,
    "reconnect.backoff.max.ms": 1000,  # 10 s by default: as long would everything wait after a broker's restart
    "topic.metadata.propagation.max.ms": 5000,  # how long an unknown topic may be on its way; 30 s by default
    "log.connection.close": False,  # brokers close idle connections; nobody needs to act
}

_FIXED: Final[dict[str, Any]] = {
    # Brokers may make topics for whoever asks: one that was deleted would come back by itself, with the broker's
    # defaults, and take what is sent as if nothing were missing.
    "allow.auto.create.topics": False,
}

_REFUSED: Final = frozenset({
    KafkaError._AUTHENTICATION,
    KafkaError._SSL,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.ILLEGAL_SASL_STATE,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.SECURITY_DISABLED,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.UNSUPPORTED_SASL_MECHANISM,
})  # fmt: skip
_IN_USE: Final = frozenset({KafkaError.ILLEGAL_GENERATION, KafkaError.UNKNOWN_MEMBER_ID})
_NO_TOPIC: Final = frozenset({
    KafkaError._UNKNOWN_PARTITION,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError.UNKNOWN_TOPIC_ID,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
})  # fmt: skip
_WRONG: Final = frozenset({
    KafkaError._CONFLICT,
    KafkaError._INVALID_ARG,
    KafkaError.INVALID_CONFIG,
    KafkaError.INVALID_PARTITIONS,
    KafkaError.INVALID_REPLICATION_FACTOR,
    KafkaError.POLICY_VIOLATION,
    KafkaError.TOPIC_EXCEPTION,  # a name that no topic may have
})  # fmt: skip
_GAP: Final = frozenset({KafkaError._AUTO_OFFSET_RESET, KafkaError._LOG_TRUNCATION, KafkaError.OFFSET_OUT_OF_RANGE})
_TOO_LARGE: Final = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})


def configuration(
    bootstrap_servers: str, client: Mapping[str, str], *, tuned: Mapping[str, Any], fixed: Mapping[str, Any]
) -> dict[str, Any]:
    """Merge librdkafka's properties: ``client`` is the user's and goes above ``tuned``, but may not change ``fixed``.

    Raises:
        ConfigError: ``client`` has a property that the project's guarantees rest on.
    """
    fixed = {**_FIXED, **fixed}
    for name in fixed.keys() & client.keys():
        if client[name].lower() != str(fixed[name]).lower():
            raise ConfigError(f"kafka.client: remove {name!r}; this project needs it to be {fixed[name]!r}")
    return {**_SHARED, **tuned, **client, **fixed, "bootstrap.servers": bootstrap_servers, "logger": LOG}


def refuses_us(error: KafkaError) -> bool:
    """Whether the broker does not accept our credentials, or these do not have the right."""
    return error.code() in _REFUSED


def translate(error: KafkaError | KafkaException | ValueError, doing: str) -> OryxError:
    """Return the project's error for Kafka's, its cause set; ``doing`` begins the message: "reading OryxInput"."""
    cause = error if isinstance(error, Exception) else KafkaException(error)
    reason = cause.args[0] if cause.args else cause
    if not isinstance(reason, KafkaError):
        translated: OryxError = ConfigError(f"{doing}: {reason}")
    else:
        translated = _translated(reason, f"{doing}: {reason.str()}")
    translated.__cause__ = cause
    return translated


class Refusals:
    """Why brokers sent a client away: requests only time out, and the reason comes to this, its ``error_cb``."""

    def __init__(self) -> None:
        self.newest: KafkaError | None = None

    def __call__(self, error: KafkaError) -> None:
        """Take an error that belongs to no request; those of connections are librdkafka's to retry."""
        if refuses_us(error):
            self.newest = error


def until_answered(call: Callable[[float], V], *, doing: str, timeout_s: float, refusals: Refusals | None = None) -> V:
    """Repeat a request until it is answered or the time is up: a broker that starts sends its clients away at first.

    Args:
        call: sends the request and returns the answer within about this many seconds.
        doing: as for ``translate``.
        timeout_s: for all attempts together.
        refusals: of the client, to say why the time was up.

    Raises:
        OryxError: what the last error means; BrokerUnavailable when the time is up.
    """
    deadline = time.monotonic() + timeout_s
    if refusals is not None:
        refusals.newest = None
    while True:
        try:
            return call(max(_RETRY_S, deadline - time.monotonic()))
        except (KafkaException, ValueError) as error:
            failure = translate(error, doing)
        if not isinstance(failure, BrokerUnavailable):
            raise failure
        if time.monotonic() >= deadline:
            refusal = None if refusals is None else refusals.newest
            raise failure if refusal is None else translate(refusal, doing)
        time.sleep(_RETRY_S)


def _translated(error: KafkaError, text: str) -> OryxError:
    code = error.code()
    if code in _REFUSED:
        return ConfigError(f"{text}; check the credentials in kafka.client and their rights")
    if code in _IN_USE:
        return ConfigError(f"{text}; other consumers are members of this group: choose another group_id")
    if code in _WRONG:
        return ConfigError(text)
    if code in _NO_TOPIC:
        return TopicsChanged(f"{text}; `oryx setup` shows what is missing")
    if code in _GAP:
        return LogGap(text)
    if code in _TOO_LARGE:
        return RecordTooLarge(text)
    return BrokerUnavailable(text)
