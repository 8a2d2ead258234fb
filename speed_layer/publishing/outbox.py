"""Sends records and waits for their acknowledgement, as long as it takes."""

import time
from collections.abc import Callable, Sequence
from functools import partial

from oryx_py.errors import BrokerUnavailable, OryxError, QueueFull, Transient
from oryx_py.ports import Delivery, Outgoing, Partition, Producer

__all__ = ["Interrupted", "Outbox"]

_ATTEMPTS = 10
"""How often records are sent for their places, which a broker keeps to itself after a request of unclear outcome."""


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
        sleep: waits where there is nothing to wait for.
    """

    def __init__(
        self,
        producer: Producer,
        stopping: Callable[[], bool],
        wait_s: float = 0.5,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._producer = producer
        self._stopping = stopping
        self._wait_s = wait_s
        self._sleep = sleep
        self._posted: _Attempt | None = None

    def deliver(self, records: Sequence[Outgoing]) -> None:
        """Return when all records are acknowledged, and all that were posted before.

        Raises:
            Interrupted: `stopping` said so first.
            OryxError: a record can never be sent, as the producer says.
        """
        posted, self._posted = self._posted, None
        if posted is None and not records:
            return
        attempt = self._sent(records)
        self._settle()
        while again := attempt.failed():
            attempt = self._sent(again)
            self._settle()
        if posted is not None and (again := posted.failed()):
            self.deliver(again)

    def deliver_placed(self, records: Sequence[Outgoing]) -> dict[Partition, int]:
        """Do as `deliver`; return by topic and partition the highest offset of what was acknowledged.

        A record that is stored at a place nobody tells is sent again, as if it had been given up.

        Raises:
            Interrupted, OryxError: as `deliver`.
            BrokerUnavailable: places are not told however often records are sent.
        """
        highest: dict[Partition, int] = {}
        unplaced = 0
        while records:
            attempt = _Attempt(records)
            for number, record in enumerate(records):
                self._send(record, partial(attempt.answered, number))
            self._settle()
            for where, offset in attempt.highest.items():
                highest[where] = max(offset, highest.get(where, -1))
            records = attempt.failed()
            if attempt.unplaced is not None:
                unplaced += 1
                if unplaced == _ATTEMPTS:
                    raise attempt.unplaced
                self._pause(attempt.unplaced)
        self.deliver(())
        return highest

    def post(self, records: Sequence[Outgoing]) -> None:
        """Send records whose acknowledgement nothing waits for but the next `deliver`, or `post`.

        For what may come again, and later than what is sent after it.

        Raises:
            Interrupted, OryxError: as `deliver`, of what was posted before.
        """
        self.deliver(())
        self._posted = self._sent(records)

    def _sent(self, records: Sequence[Outgoing]) -> "_Attempt":
        """Send records whose failures alone are told."""
        attempt = _Attempt(records)
        begin = 0
        while begin < len(records):
            rest = records[begin:] if begin else records
            try:
                begin += self._producer.send_many(rest, partial(attempt.given_up, begin))
            except Transient as unavailable:
                self._pause(unavailable)
            else:
                if begin < len(records):
                    self._settle()
        return attempt

    def _send(self, record: Outgoing, on_delivery: Callable[[Delivery], None]) -> None:
        while True:
            try:
                self._producer.send(
                    record.topic,
                    record.value,
                    key=record.key,
                    headers=record.headers,
                    partition=record.partition,
                    on_delivery=on_delivery,
                )
            except QueueFull:
                self._settle()
            except Transient as unavailable:
                self._pause(unavailable)
            else:
                return

    def _pause(self, unavailable: Transient) -> None:
        """Wait where the producer holds nothing to wait for: it takes nothing now, or has told too little."""
        if self._stopping():
            raise Interrupted("stopped before everything was sent") from unavailable
        self._settle()
        self._sleep(self._wait_s)

    def _settle(self) -> None:
        """Wait until it is known what became of everything sent."""
        while True:
            try:
                self._producer.flush(self._wait_s)
            except BrokerUnavailable as unavailable:
                if self._stopping():
                    raise Interrupted("stopped before Kafka acknowledged everything") from unavailable
            except OryxError:
                continue  # its attempt was told, too
            else:
                return


class _Attempt:
    """What became of the records of one attempt; the producer's thread tells, and has told all when it is settled."""

    def __init__(self, sent: Sequence[Outgoing]) -> None:
        self._sent = sent
        self._errors: dict[int, OryxError] = {}
        """By the number in `_sent`."""
        self.highest: dict[Partition, int] = {}
        """By topic and partition, the highest offset acknowledged, of those who were asked for."""
        self.unplaced: BrokerUnavailable | None = None
        """Of a record that is stored, nobody knows where."""

    def given_up(self, begin: int, number: int, error: OryxError) -> None:
        self._errors[begin + number] = error

    def answered(self, number: int, delivery: Delivery) -> None:
        if delivery.error is not None:
            self._errors[number] = delivery.error
            return
        where = self._sent[number].topic, delivery.partition
        if delivery.offset < 0:
            self.unplaced = BrokerUnavailable(f"Kafka does not tell where in {where[0]}[{where[1]}] it stored a record")
            self._errors[number] = self.unplaced
        else:
            self.highest[where] = max(delivery.offset, self.highest.get(where, -1))

    def failed(self) -> list[Outgoing]:
        """Return what is to be sent again, in order."""
        if not self._errors:
            return []
        for error in self._errors.values():
            if not isinstance(error, Transient):
                raise error
        again: list[Outgoing] = []
        broken: set[tuple[str, int | None, bytes | None]] = set()
        for number, record in enumerate(self._sent):
            # Without a partition the key decides: records of one key lie in one.
            where = (record.topic, record.partition, record.key if record.partition is None else None)
            if number in self._errors:
                broken.add(where)
            if where in broken:
                again.append(record)
        return again
