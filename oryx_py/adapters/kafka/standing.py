"""Whether brokers let a producer in, and what that explains of the records that fail."""

from typing import Final

from confluent_kafka import KafkaError, KafkaException

from oryx_py.adapters.kafka.client import LOG, refuses_us, translate
from oryx_py.errors import BrokerUnavailable, ConfigError, OryxError

__all__ = ["Standing"]

_SYMPTOMS: Final = frozenset({
    KafkaError._FATAL,
    KafkaError._MSG_TIMED_OUT,
    KafkaError._PURGE_INFLIGHT,
    KafkaError._PURGE_QUEUE,
})  # fmt: skip


class Standing:
    """Of one producer. Records that a refused client holds only time out: the reason came before, and is told here.

    Who was let in before has the right credentials. A refusal after that may pass, as when a token could not be renewed
    for a while, so that its records can be sent again.
    """

    def __init__(self) -> None:
        self._refusal: KafkaError | None = None  # since the last acknowledgement
        self._was_let_in = False

    def let_in(self) -> None:
        """Note that records were acknowledged: what was refused before explains nothing after."""
        self._refusal, self._was_let_in = None, True

    def take(self, error: KafkaError) -> None:
        """Take an error that belongs to no record; those of connections are librdkafka's to retry."""
        if refuses_us(error):
            if self._refusal is None:
                LOG.warning("Kafka refuses a producer: %s", error.str())
            self._refusal = error

    def reason(self, doing: str) -> OryxError | None:
        """Return why records fail, as far as it is a refusal; ``doing`` begins the message."""
        if self._refusal is None:
            return None
        refused = translate(self._refusal, doing)
        if not self._was_let_in or not isinstance(refused, ConfigError):
            return refused
        passing = BrokerUnavailable(str(refused))
        passing.__cause__ = refused.__cause__
        return passing

    def explained(self, error: KafkaError | KafkaException, doing: str) -> OryxError:
        """Return what a record's error means: the refusal behind it, or what it says itself."""
        found = error.args[0] if isinstance(error, KafkaException) else error
        reason = self.reason(doing) if found.code() in _SYMPTOMS else None
        return translate(error, doing) if reason is None else reason
