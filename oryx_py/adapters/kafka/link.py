"""One of librdkafka's producers, served by a thread of its own, and replaced when it has ended for good."""

import threading
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final, Protocol

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import Producer as Client

from oryx_py.adapters.kafka.client import LOG, translate
from oryx_py.adapters.kafka.standing import Standing
from oryx_py.errors import BrokerUnavailable, OryxError
from oryx_py.ports import Delivery, Outgoing

__all__ = ["Link", "Report"]

_POLL_S: Final = 0.1  # only how soon ``close`` is noticed: what arrives wakes the thread
_PURGE_S: Final = 5.0
_RESTART_S: Final = 1.0  # between two clients that both failed for good


class Report(Protocol):
    """Is told by librdkafka, on the link's thread, what became of a record."""

    def __call__(self, number: int, error: KafkaError | None, message: Any, /) -> None:
        """With its number among those sent together; no error or one, and its place."""
        ...


class Link:
    """Sends by one of librdkafka's clients at a time; any thread may call it.

    Args:
        configuration: librdkafka's, of which ``error_cb`` is the link's own.

    Raises:
        ConfigError: from the constructor, for a property that is unknown.
    """

    def __init__(self, configuration: Mapping[str, Any]) -> None:
        self._configuration = {**configuration, "error_cb": self._on_client_error}
        self._served = threading.Condition()  # notified when callbacks have returned; guards _first_failure and _failed
        self._first_failure: OryxError | None = None  # since the last one taken
        self._sent = self._failed = False  # since a wait has found that all reports had returned
        self._standing = Standing()
        self._failed_for_good = False
        self._closing = threading.Event()
        self._client = self._new_client()
        self._thread = threading.Thread(target=self._serve, name="kafka-producer", daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        """How many records are not acknowledged, or their reports not returned."""
        return len(self._client)

    def send(self, records: Sequence[Outgoing], report: Report) -> int:
        """Queue the first records, as many as there is room for, and return how many at once.

        Raises:
            OryxError: as the port ``Producer`` says, of the first record; other than for want of room.
        """
        if self._closing.is_set():
            raise BrokerUnavailable("this producer is closed")
        queued = self._queue(records, report)
        self._sent = self._sent or bool(queued)
        return queued

    def _queue(self, records: Sequence[Outgoing], report: Report) -> int:
        produce, number = self._client.produce, 0
        try:
            for number, record in enumerate(records):
                partition = -1 if record.partition is None else record.partition
                headers: list[tuple[str, str | bytes | None]] = list(record.headers)
                # By position, which is read in half of the time; the two between are an alias and the time.
                produce(record.topic, record.value, record.key, partition, partial(report, number), None, 0, headers)
        except BufferError:
            return number
        except KafkaException as error:
            if not number:
                raise self._standing.explained(error, f"sending to {records[0].topic}") from error
            return number
        except RuntimeError as error:  # the client was closed in this very moment
            if not number:
                reason = self._standing.reason(f"sending to {records[0].topic}")
                if reason is not None and not self._closing.is_set():
                    raise reason from error
                raise BrokerUnavailable("this producer is closed") from error
            return number
        return len(records)

    def wait(self, timeout_s: float) -> bool:
        """Wait until all reports have returned; False when the time is up."""
        with self._served:
            if not self._served.wait_for(lambda: not len(self._client), timeout_s):
                return False
            # Where failures alone are reported, nothing else says that records were acknowledged.
            if self._sent and not self._failed:
                self._standing.let_in()
            self._sent = self._failed = False
            return True

    def take_failure(self) -> OryxError | None:
        """Return the first failure since the last call."""
        with self._served:
            failure, self._first_failure = self._first_failure, None
        return failure

    def delivery(self, error: KafkaError | None, message: Any) -> Delivery:
        """Return what a report says; a failure is noted."""
        if error is None:
            self._standing.let_in()
            # None where a batch is acknowledged by the answer to the one after it: its own went wrong.
            offset = message.offset()
            return Delivery(message.partition(), -1 if offset is None else offset)
        failure = self._standing.explained(error, f"sending to {message.topic()}")
        with self._served:
            self._first_failure, self._failed = self._first_failure or failure, True
        partition = message.partition()
        return Delivery(-1 if partition is None else partition, -1, failure)

    def close(self, timeout_s: float) -> None:
        """Send what is queued for at most so long, give up the rest, end the thread."""
        if self._closing.is_set():
            return
        self.wait(timeout_s)
        self._closing.set()
        self._thread.join()

    def _new_client(self) -> Client:
        try:
            return Client(self._configuration)
        except (KafkaException, ValueError) as error:
            raise translate(error, "starting a Kafka producer") from error

    def _serve(self) -> None:
        while not self._closing.is_set():
            if self._poll(self._client):
                with self._served:
                    self._served.notify_all()
            if self._failed_for_good:
                self._start_anew()
        if not self._failed_for_good:
            self._give_up(self._client)

    def _start_anew(self) -> None:
        """Replace the client, unless this is closed before there is another: files that it names may be away."""
        self._give_up(self._client)
        while not self._closing.wait(_RESTART_S):
            try:
                self._client = self._new_client()
            except OryxError as trouble:
                LOG.error("no new Kafka producer: %s", trouble)
            else:
                self._failed_for_good = False
                return

    def _give_up(self, client: Client) -> None:
        """Report everything that is still queued as failed, and end the client."""
        deadline = time.monotonic() + _PURGE_S
        client.purge()
        while len(client) and time.monotonic() < deadline:
            self._poll(client)
        client.close()
        with self._served:
            self._failed = True  # also what could not be reported in time
            self._served.notify_all()

    def _poll(self, client: Client) -> int:
        """Have reports return; return how many did."""
        try:
            return client.poll(_POLL_S)
        except KafkaException as error:  # a client's end for good is raised, and goes to no callback
            self._on_client_error(error.args[0])
            return 0

    def _on_client_error(self, error: KafkaError) -> None:
        """Take errors that belong to no record; those of connections are librdkafka's to retry."""
        self._standing.take(error)
        if error.fatal():
            LOG.error("the Kafka producer starts anew: %s", error.str())
            self._failed_for_good = True
