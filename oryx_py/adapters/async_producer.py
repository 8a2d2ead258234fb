"""Sending from an event loop: await the acknowledgement, never block."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

from oryx_py.errors import OryxError
from oryx_py.ports import Delivery, Headers, Outgoing, Producer

__all__ = ["AsyncProducer"]

_CHUNK: Final = 1000
"""Records of one caller on their way at a time: 1 or 2 ms of the loop, a hundredth of the producer's queue."""


class AsyncProducer:
    """Awaits what a ``Producer`` acknowledges on its own thread; belongs to one loop and is used from it alone.

    Deliveries wait in a deque that the producer's thread fills and the loop empties, so that a burst of them, whatever
    its size, wakes the loop once. Who closes the producer does so after the last call.
    """

    def __init__(self, producer: Producer, loop: asyncio.AbstractEventLoop) -> None:
        self._producer = producer
        self._loop = loop
        self._delivered: deque[tuple[Callable[[Delivery], None], Delivery]] = deque()
        self._waking = False

    async def send(
        self, topic: str, value: bytes | None, *, key: bytes | None = None, headers: Headers = ()
    ) -> Delivery:
        """Send one record and return its place in the log when it is acknowledged.

        Cancelling stops the waiting, not the record.

        Raises:
            QueueFull: the producer's queue has no room; nothing was sent.
            OryxError: the delivery's error, as a rule BrokerUnavailable: no acknowledgement in time, stored or not.
        """
        acknowledged: asyncio.Future[Delivery] = self._loop.create_future()

        def resolve(delivery: Delivery) -> None:
            if not acknowledged.done():
                acknowledged.set_result(delivery)

        self._producer.send(topic, value, key=key, headers=headers, on_delivery=self._waker(resolve))
        delivery = await acknowledged
        if delivery.error is not None:
            raise delivery.error
        return delivery

    async def send_many(self, records: Sequence[Outgoing]) -> list[Delivery]:
        """Send records in order and return what became of each.

        At most a thousand are on their way at a time. After the first error no more are sent: the rest gets the same.
        """
        deliveries: list[Delivery] = []
        for start in range(0, len(records), _CHUNK):
            deliveries += await self._send_chunk(records[start : start + _CHUNK])
            error = next((delivery.error for delivery in deliveries[start:] if delivery.error is not None), None)
            if error is not None:
                deliveries += [Delivery(-1, -1, error)] * (len(records) - len(deliveries))
                break
        return deliveries

    async def _send_chunk(self, records: Sequence[Outgoing]) -> list[Delivery]:
        """Send these at once; from the first that the producer does not take, none is sent."""
        deliveries: list[Delivery] = []
        open_ = 0
        all_known: asyncio.Future[None] = self._loop.create_future()

        def resolve(index: int, delivery: Delivery) -> None:
            nonlocal open_
            deliveries[index] = delivery
            open_ -= 1
            if not open_ and not all_known.done():
                all_known.set_result(None)

        refused: OryxError | None = None
        for index, record in enumerate(records):
            try:
                self._producer.send(
                    record.topic,
                    record.value,
                    key=record.key,
                    headers=record.headers,
                    partition=record.partition,
                    on_delivery=self._waker(partial(resolve, index)),
                )
            except OryxError as error:
                refused = error
                break
            open_ += 1  # resolve runs on this loop, so not before the await
        deliveries += [Delivery(-1, -1, refused)] * len(records)
        if open_:
            await all_known
        return deliveries

    def _waker(self, resolve: Callable[[Delivery], None]) -> Callable[[Delivery], None]:
        """Return a callback for the producer's thread that has ``resolve`` called in the loop."""

        def on_delivery(delivery: Delivery) -> None:
            self._delivered.append((resolve, delivery))
            if not self._waking:
                self._waking = True
                with suppress(RuntimeError):  # the loop is closed, nobody waits
                    self._loop.call_soon_threadsafe(self._resolve_all)

        return on_delivery

    def _resolve_all(self) -> None:
        self._waking = False  # first: what is appended from here on wakes the loop again
        while self._delivered:
            resolve, delivery = self._delivered.popleft()
            resolve(delivery)
