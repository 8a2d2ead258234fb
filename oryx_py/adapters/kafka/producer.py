"""The producer on Kafka: librdkafka's, with threads of its own."""

import threading
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from confluent_kafka import KafkaError

from oryx_py.adapters.kafka.client import LOG, configuration
from oryx_py.adapters.kafka.link import Link
from oryx_py.errors import BrokerUnavailable, QueueFull
from oryx_py.ports import Headers, OnDelivery, OnFailure, Outgoing

__all__ = ["BATCH_BYTES", "KafkaProducer"]

BATCH_BYTES: Final = 262_144
"""The most bytes that one request has for a partition, unless one record alone is larger."""

_FIXED: Final[dict[str, Any]] = {
    "enable.idempotence": True,  # retries neither double nor reorder
    "acks": "all",
    "partitioner": "murmur2_random",  # Java's default, so that other programs find the same partition
    "delivery.report.only.error": False,
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


class KafkaProducer:
    """Sends records to Kafka; see the port ``Producer``.

    ``client`` has librdkafka's properties. A record without acknowledgement for ``delivery_timeout_s`` is given up.
    Each of the two ways to send has a queue of 100,000 records or 64 MiB. Three of librdkafka's errors end a client of
    it for good; a new one then takes its place, and what was queued is reported as failed.

    Raises:
        ConfigError: from the constructor, for a property that is unknown or may not be changed.
    """

    def __init__(self, bootstrap_servers: str, client: Mapping[str, str], *, delivery_timeout_s: float = 60.0) -> None:
        tuned = {**_TUNED, "delivery.timeout.ms": round(delivery_timeout_s * 1000)}
        self._configuration = configuration(bootstrap_servers, client, tuned=tuned, fixed=_FIXED)
        self._reporting = Link(self._configuration)
        self._silent: Link | None = None
        """For ``send_many``, from its first call on: a client leaves out the reports of success for all records, or for
        none."""
        self._opening = threading.Lock()
        self._closed = False

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
        record = Outgoing(topic, value, key, headers, partition)
        if not self._reporting.send([record], partial(self._on_report, on_delivery)):
            raise QueueFull("too many records wait for Kafka's acknowledgement; try again later")

    def send_many(self, records: Sequence[Outgoing], on_failure: OnFailure) -> int:
        """Queue the first records, as many as there is room for, and return how many at once; see the port."""
        link = self._opened()
        return link.send(records, partial(_on_failure, link, on_failure))

    def flush(self, timeout_s: float) -> None:
        """Wait until everything sent so far is acknowledged; see the port."""
        deadline = time.monotonic() + timeout_s
        links = self._links()
        acknowledged = all(link.wait(max(0.0, deadline - time.monotonic())) for link in links)
        failures = [failure for link in links if (failure := link.take_failure()) is not None]
        if failures:
            raise failures[0]
        if not acknowledged:
            raise BrokerUnavailable(f"{sum(map(len, links))} records are not acknowledged after {timeout_s:g} s")

    def close(self, timeout_s: float = 5.0) -> None:
        """Send what is queued for at most ``timeout_s``, give up the rest, end the threads; see the port."""
        with self._opening:
            self._closed = True
        deadline = time.monotonic() + timeout_s
        for link in self._links():
            link.close(max(0.0, deadline - time.monotonic()))

    def _links(self) -> list[Link]:
        return [self._reporting] if self._silent is None else [self._reporting, self._silent]

    def _opened(self) -> Link:
        with self._opening:
            if self._silent is None:
                if self._closed:
                    raise BrokerUnavailable("this producer is closed")
                self._silent = Link({**self._configuration, "delivery.report.only.error": True})
            return self._silent

    def _on_report(self, on_delivery: OnDelivery | None, _: int, error: KafkaError | None, message: Any) -> None:
        delivery = self._reporting.delivery(error, message)
        if on_delivery is None:
            return
        try:
            on_delivery(delivery)
        except Exception:  # noqa: BLE001 - it would end the thread that serves all others
            LOG.exception("a delivery callback failed")


def _on_failure(link: Link, on_failure: OnFailure, number: int, error: KafkaError | None, message: Any) -> None:
    failure = link.delivery(error, message).error
    if failure is not None:
        on_failure(number, failure)
