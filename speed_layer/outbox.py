"""Sends records and waits for their acknowledgement, as long as it takes."""

import threading
from collections.abc import Callable, Sequence

from oryx_py.errors import BrokerUnavailable, OryxError, QueueFull, Transient
from oryx_py.ports import Delivery, Outgoing, Producer

__all__ = ["Interrupted", "Outbox"]


class Interrupted(OryxError):
    """The layer is asked to stop while records wait for their acknowledgement."""


class Outbox:
    """Delivers records at least once, those of a partition in the order given.

    A record that is given up by the producer is sent again, and with it all that were sent after it to its partition:
    readers drop what they have, so repeats are harmless; what was overtaken would not be.

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
        self._sent: list[Outgoing] = []
        self._failed: dict[int, OryxError] = {}
        """By the number in `_sent`."""

    @property
    def open(self) -> bool:
        with self._lock:
            return self._open > 0

    def expect(self, record: Outgoing) -> Callable[[Delivery], None]:
        with self._lock:
            self._open += 1
            number = len(self._sent)
            self._sent.append(record)

        def done(delivery: Delivery) -> None:
            with self._lock:
                self._open -= 1
                if delivery.error is not None:
                    self._failed[number] = delivery.error

        return done

    def forget(self) -> None:
        with self._lock:
            self._open -= 1
            self._sent.pop()

    def failed(self) -> list[Outgoing]:
        """Return what is to be sent again, in order."""
        for error in self._failed.values():
            if not isinstance(error, Transient):
                raise error
        again: list[Outgoing] = []
        broken: set[tuple[str, int | None, bytes | None]] = set()
        for number, record in enumerate(self._sent):
            # Without a partition the key decides: records of one key lie in one.
            where = (record.topic, record.partition, record.key if record.partition is None else None)
            if number in self._failed:
                broken.add(where)
            if where in broken:
                again.append(record)
        return again
