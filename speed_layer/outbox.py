"""Sends records and waits for their acknowledgement, as long as it takes."""

from collections.abc import Callable, Sequence
from functools import partial

from oryx_py.errors import BrokerUnavailable, OryxError, QueueFull, Transient
from oryx_py.ports import Delivery, Outgoing, Partition, Producer

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
        self._posted: _Attempt | None = None

    def deliver(self, records: Sequence[Outgoing], highest: dict[Partition, int] | None = None) -> None:
        """Return when all records are acknowledged, and all that were posted before.

        Args:
            records: what to send.
            highest: by topic and partition, the highest offset of what was acknowledged; it is brought up to date.

        Raises:
            Interrupted: `stopping` said so first.
            OryxError: a record can never be sent, as the delivery's error says.
        """
        posted, self._posted = self._posted, None
        while records:
            attempt = self._sent(records)
            records = self._settled(attempt)
            if highest is not None:
                attempt.tell(highest)
        if posted is not None and (again := self._settled(posted)):
            self.deliver(again)

    def post(self, records: Sequence[Outgoing]) -> None:
        """Send records whose acknowledgement nothing waits for but the next `deliver`, or `post`.

        For what may come again, and later than what is sent after it.

        Raises:
            Interrupted, OryxError: as `deliver`, of what was posted before.
        """
        if self._posted is not None:
            self.deliver(())
        self._posted = self._sent(records)

    def _sent(self, records: Sequence[Outgoing]) -> "_Attempt":
        attempt = _Attempt()
        for record in records:
            self._send(record, attempt)
        return attempt

    def _settled(self, attempt: "_Attempt") -> list[Outgoing]:
        """Wait until it is known what became of an attempt; return what is to be sent again."""
        while attempt.open:
            self._flush()
        return attempt.failed()

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
    """What became of the records of one attempt; the producer's thread tells, by appending and nothing else."""

    def __init__(self) -> None:
        self._sent: list[Outgoing] = []
        self._answers: list[tuple[int, Delivery]] = []
        """By the number in `_sent`."""

    @property
    def open(self) -> bool:
        return len(self._answers) < len(self._sent)

    def expect(self, record: Outgoing) -> Callable[[Delivery], None]:
        self._sent.append(record)
        return partial(self._answered, len(self._sent) - 1)

    def forget(self) -> None:
        self._sent.pop()

    def _answered(self, number: int, delivery: Delivery) -> None:
        self._answers.append((number, delivery))

    def tell(self, highest: dict[Partition, int]) -> None:
        """Raise, by topic and partition, the highest offset acknowledged."""
        for number, delivery in self._answers:
            if delivery.error is None:
                where = self._sent[number].topic, delivery.partition
                highest[where] = max(delivery.offset, highest.get(where, -1))

    def failed(self) -> list[Outgoing]:
        """Return what is to be sent again, in order."""
        failed = {number: delivery.error for number, delivery in self._answers if delivery.error is not None}
        if not failed:
            return []
        for error in failed.values():
            if not isinstance(error, Transient):
                raise error
        again: list[Outgoing] = []
        broken: set[tuple[str, int | None, bytes | None]] = set()
        for number, record in enumerate(self._sent):
            # Without a partition the key decides: records of one key lie in one.
            where = (record.topic, record.partition, record.key if record.partition is None else None)
            if number in failed:
                broken.add(where)
            if where in broken:
                again.append(record)
        return again
