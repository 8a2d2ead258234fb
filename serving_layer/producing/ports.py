"""What writes need of Kafka."""

from collections.abc import Sequence
from typing import Protocol

from oryx_py.ports import Delivery, Headers, Outgoing

__all__ = ["AsyncSender", "Partitions"]


class AsyncSender(Protocol):
    """Sends to Kafka from the loop (`oryx_py.adapters.async_producer.AsyncProducer`)."""

    async def send(
        self, topic: str, value: bytes | None, *, key: bytes | None = None, headers: Headers = ()
    ) -> Delivery:
        """Send one record and wait for its acknowledgement.

        Raises:
            OryxError: it was not acknowledged.
        """
        ...

    async def send_many(self, records: Sequence[Outgoing]) -> list[Delivery]:
        """Send records in order and wait for what becomes of each; a delivery has the error."""
        ...


class Partitions(Protocol):
    """Tells how many partitions the input topic has."""

    def __call__(self) -> int:
        """Return it.

        Raises:
            BrokerUnavailable: that is not known yet.
        """
        ...
