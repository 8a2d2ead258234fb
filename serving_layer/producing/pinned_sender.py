"""Sends each user's records to the partition that the store's offsets mean, and nothing once the count has changed."""

from collections.abc import Sequence

import msgspec

from oryx_py.errors import BrokerUnavailable
from oryx_py.messages import partition_of
from oryx_py.messages.partitions import homes_of
from oryx_py.ports import Delivery, Headers, Outgoing
from serving_layer.producing.ports import AsyncSender

__all__ = ["PinnedSender"]

_FEW = 32
"""Up to so many, hashing them one by one takes less than packing them."""


class PinnedSender:
    """Chooses partitions by the recorded count, since Kafka's client would by whatever the topic has. For the loop.

    Args:
        sender: sends.
        topic: the input topic; its keys are users.
        partitions: how many it had when the store was begun.
    """

    def __init__(self, sender: AsyncSender, topic: str, partitions: int) -> None:
        self._sender, self._topic, self._partitions = sender, topic, partitions
        self.trouble: str | None = None
        """Why nothing is sent; None where it is."""

    async def send(
        self, topic: str, value: bytes | None, *, key: bytes | None = None, headers: Headers = ()
    ) -> Delivery:
        """Send one record and wait for its acknowledgement.

        Raises:
            OryxError: it was not acknowledged.
        """
        (delivery,) = await self.send_many([Outgoing(topic, value, key, headers)])
        if delivery.error is not None:
            raise delivery.error
        return delivery

    async def send_many(self, records: Sequence[Outgoing]) -> list[Delivery]:
        """Send records in order and wait for what becomes of each; a delivery has the error.

        Raises:
            BrokerUnavailable: there is `trouble`; none was sent.
        """
        if self.trouble is not None:
            raise BrokerUnavailable(f"{self.trouble}; nothing was stored")
        return await self._sender.send_many(self._pinned(records))

    def _pinned(self, records: Sequence[Outgoing]) -> list[Outgoing]:
        ours = [n for n, r in enumerate(records) if r.topic == self._topic and r.partition is None and r.key]
        users = [(records[n].key or b"").decode() for n in ours]
        few = len(users) <= _FEW
        homes = [partition_of(user, self._partitions) for user in users] if few else homes_of(users, self._partitions)
        pinned = list(records)
        for number, home in zip(ours, homes, strict=True):
            pinned[number] = msgspec.structs.replace(records[number], partition=int(home))
        return pinned
