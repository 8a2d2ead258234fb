"""The producer on Kafka: librdkafka's, with one thread of its own."""

import threading
import time
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import Producer as Client

from oryx_py.adapters.kafka_client import LOG, configuration, refuses_us, translate
from oryx_py.errors import BrokerUnavailable, OryxError, QueueFull
from oryx_py.ports import Delivery, Headers, OnDelivery

__all__ = ["BATCH_BYTES", "KafkaProducer"]

BATCH_BYTES: Final = 262_144
"""The most bytes that one request has for a partition, unless one record alone is larger."""

_FIXED: Final[dict[str, Any]] = {
    "enable.idempotence": True,  # retries neither double nor reorder
    "acks": "all",
    "partitioner": "murmur2_random",  # Java's default, so that other programs find the same partition
}
_TUNED: Final[dict[str, Any]] = {
    # A record waits a millisecond for others. Else each of them wakes a thread and takes a request to the broker, and
    # from there to every reader; and on cores that are busy with these everything waits far longer than a millisecond.
    "linger.ms": 1,
    "batch.size": BATCH_BYTES,
    "message.max.bytes": 16_777_216,  # the topic decides what is too large; the client only has to let it through
    "queue.buffering.max.messages": 100_000,
    "queue.buffering.max.kbytes": 65_536,
    "retry.backoff.ms": 20,
    "retry.backoff.max.ms": 500,
}
_SYMPTOMS: Final = frozenset({
    KafkaError._FATAL,
    KafkaError._MSG_TIMED_OUT,
    KafkaError._PURGE_INFLIGHT,
    KafkaError._PURGE_QUEUE,
})  # fmt: skip
_POLL_S: Final = 0.1  # only how soon ``close`` is noticed: what arrives wakes the thread
_PURGE_S: Final = 5.0
_RESTART_S: Final = 1.0  # between two clients that both failed for good


class KafkaProducer:
    """Sends records to Kafka; see the port ``Producer``.

    ``client`` has librdkafka's properties. A record without acknowledgement for ``delivery_timeout_s`` is given up.
    The queue holds 100,000 records or 64 MiB. Three of librdkafka's errors end its client for good; a new one then
    takes its place, and what was queued is reported as failed.

    Raises:
        ConfigError: from the constructor, for a property that is unknown or may not be changed.
    """

    def __init__(self, bootstrap_servers: str, client: Mapping[str, str], *, delivery_timeout_s: float = 60.0) -> None:
        tuned = {**_TUNED, "delivery.timeout.ms": round(delivery_timeout_s * 1000)}
        self._configuration = configuration(bootstrap_servers, client, tuned=tuned, fixed=_FIXED)
        self._configuration["error_cb"] = self._on_client_error
        self._served = threading.Condition()  # notified when callbacks have returned; guards _first_failure
        self._first_failure: OryxError | None = None  # since the last flush
        self._refusal: KafkaError | None = None  # the reason behind the time-outs that follow it
        self._failed_for_good = False
        self._closing = threading.Event()
        self._client = self._new_client()
        self._thread = threading.Thread(target=self._serve, name="kafka-producer", daemon=True)
        self._thread.start()

    def send(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        headers: Headers = (),
        partition: int | None = None,
        on_delivery: OnDelivery | None = None,
    ) -> None:
        """Queue one record and return at once; see the port."""
        if self._closing.is_set():
            raise BrokerUnavailable("this producer is closed")
        try:
            self._client.produce(
                topic,
                value,
                key,
                partition=-1 if partition is None else partition,
                headers=list(headers) if headers else None,
                on_delivery=partial(self._on_report, on_delivery),
            )
        except BufferError as error:
            raise QueueFull("too many records wait for Kafka's acknowledgement; try again later") from error
        except KafkaException as error:
            raise self._translated(error, f"sending to {topic}") from error
        except RuntimeError as error:  # closed in this very moment
            raise BrokerUnavailable("this producer is closed") from error

    def flush(self, timeout_s: float) -> None:
        """Wait until everything sent so far is acknowledged; see the port."""
        with self._served:
            acknowledged = self._served.wait_for(lambda: not len(self._client), timeout_s)
            failure, self._first_failure = self._first_failure, None
        if failure is not None:
            raise failure
        if not acknowledged:
            raise BrokerUnavailable(f"{len(self._client)} records are not acknowledged after {timeout_s:g} s")

    def close(self, timeout_s: float = 5.0) -> None:
        """Send what is queued for at most ``timeout_s``, give up the rest, end the thread; see the port."""
        if self._closing.is_set():
            return
        with self._served:
            self._served.wait_for(lambda: not len(self._client), timeout_s)
        self._closing.set()
        self._thread.join()

    def _new_client(self) -> Client:
        try:
            return Client(self._configuration)
        except (KafkaException, ValueError) as error:
            raise translate(error, "starting a Kafka producer") from error

    def _serve(self) -> None:
        while not self._closing.is_set():
            if self._client.poll(_POLL_S):
                with self._served:
                    self._served.notify_all()
            if self._failed_for_good:
                self._start_anew()
        self._give_up(self._client)

    def _start_anew(self) -> None:
        ended = self._client
        self._give_up(ended)
        self._closing.wait(_RESTART_S)
        self._failed_for_good = False
        self._client = self._new_client()

    def _give_up(self, client: Client) -> None:
        """Report everything that is still queued as failed, and end the client."""
        deadline = time.monotonic() + _PURGE_S
        client.purge()
        while len(client) and time.monotonic() < deadline:
            client.poll(_POLL_S)
        client.close()
        with self._served:
            self._served.notify_all()

    def _on_report(self, on_delivery: OnDelivery | None, error: KafkaError | None, message: Any) -> None:
        if error is None:
            self._refusal = None
            delivery = Delivery(message.partition(), message.offset())
        else:
            failure = self._translated(error, f"sending to {message.topic()}")
            with self._served:
                self._first_failure = self._first_failure or failure
            partition = message.partition()
            delivery = Delivery(-1 if partition is None else partition, -1, failure)
        if on_delivery is None:
            return
        try:
            on_delivery(delivery)
        except Exception:  # noqa: BLE001 - it would end the thread that serves all others
            LOG.exception("a delivery callback failed")

    def _on_client_error(self, error: KafkaError) -> None:
        """Take errors that belong to no record; those of connections are librdkafka's to retry."""
        if refuses_us(error):
            self._refusal = error
        if error.fatal():
            LOG.error("the Kafka producer starts anew: %s", error.str())
            self._failed_for_good = True

    def _translated(self, error: KafkaError | KafkaException, doing: str) -> OryxError:
        reason = error.args[0] if isinstance(error, KafkaException) else error
        if self._refusal is not None and reason.code() in _SYMPTOMS:
            return translate(self._refusal, doing)
        return translate(error, doing)
