"""Sends records and waits for their acknowledgement, as long as it takes."""

import threading
from collections.abc import Callable, Sequence

from oryx_py.errors import BrokerUnavailable, OryxError, QueueFull, Transient
from oryx_py.ports import Delivery, Outgoing, Producer

__all__ = ["Interrupted", "Outbox"]


class Interrupted(OryxError):
    """The layer is asked to stop while records wait for their acknowledgement."""


class Outbox:
    """Delivers records at least once, in the order given as far as the broker takes them.

    A record that is given up by the producer is sent again: readers drop what they have, so repeats are harmless.

    Args:
        producer: where to.
        stopping: asked while waiting; True makes the wait end.
        wait_s: how long one wait for the broker lasts before `stopping` is asked again.
    """

    def __init__(self, producer: Producer, stopping: Callable[[], bool], wait_s: float = 0.5) -> None:
        self._producer = producer
        self._stopping = stopping
        self._wait_s = wait_s

    def deliver(self, records: Sequence[Outgoing]) -> None:
        """Return when all records are acknowledged.

        Raises:
            Interrupted: `stopping` said so first.
            OryxError: a record can never be sent, as the delivery's error says.
        """
        while records:
            attempt = _Attempt()
            for record in records:
                self._send(record, attempt)
            while attempt.open:
                self._flush()
            records = attempt.failed()

    def _send(self, record: Outgoing, attempt: "_Attempt") -> None:
        while True:
            try:
                self._producer.send(
                    record.topic,
                    record.value,
                    key=record.key,
                    headers=record.headers,
                    partition=record.partition,
                    on_delivery=attempt.expect(record),
                )
            except QueueFull:
                attempt.forget()
                self._flush()
            else:
                return

    def _flush(self) -> None:
        try:
            self._producer.flush(self._wait_s)
        except BrokerUnavailable as unavailable:
            if self._stopping():
                raise Interrupted("stopped before Kafka acknowledged everything") from unavailable


class _Attempt:
    """What became of the records of one attempt; told by the producer's thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open = 0
        self._failed: list[tuple[Outgoing, OryxError]] = []

    @property
    def open(self) -> bool:
        with self._lock:
            return self._open > 0

    def expect(self, record: Outgoing) -> Callable[[Delivery], None]:
        with self._lock:
            self._open += 1

        def done(delivery: Delivery) -> None:
            with self._lock:
                self._open -= 1
                if delivery.error is not None:
                    self._failed.append((record, delivery.error))

        return done

    def forget(self) -> None:
        with self._lock:
            self._open -= 1

    def failed(self) -> list[Outgoing]:
        for _, error in self._failed:
            if not isinstance(error, Transient):
                raise error
        return [record for record, _ in self._failed]
