"""What stands in for the models and the producer until Kafka has answered, and then passes everything on to them.

The layer listens before that: whoever asks learns what is waited for, and a probe that the process lives.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from oryx_py.errors import BrokerUnavailable
from oryx_py.ports import Delivery, Headers, Outgoing
from serving_layer.model.model_provider import ModelProvider
from serving_layer.model.readiness import Readiness
from serving_layer.model.served_model import ServedModel
from serving_layer.producing.ports import AsyncSender

__all__ = ["Awaited", "AwaitedModels", "AwaitedSender", "ClosableModels"]

_NO_ANSWER_YET = "Kafka has not answered yet"


class ClosableModels(ModelProvider, Protocol):
    """Models that follow something until they are closed."""

    async def close(self) -> None:
        """Stop following."""
        ...


class AwaitedModels:
    """No model, for a reason; then those of a manager. For the loop."""

    def __init__(self) -> None:
        self._models: ClosableModels | None = None
        self._connected = asyncio.Event()
        self.reason = _NO_ANSWER_YET
        self.trouble: str | None = None
        """Why it is not ready whatever the models say; None where it may be."""

    def connect(self, models: ClosableModels) -> None:
        """Serve these from now on; they are closed with this."""
        self._models = models
        self._connected.set()

    @property
    def tracks_input(self) -> bool:
        """Whether it knows how much of the input is in the model; as long as there is none, it may turn out so."""
        return self._models is None or self._models.tracks_input

    def served(self) -> ServedModel | None:
        """Return the model served now, None where there is none."""
        return None if self._models is None else self._models.served()

    def readiness(self) -> Readiness:
        """Say what is waited for: Kafka, to begin with."""
        if self._models is None:
            return Readiness(ready=False, waiting_for=[self.reason])
        found = self._models.readiness()
        if self.trouble is not None:
            return replace(found, ready=False, waiting_for=[self.trouble, *found.waiting_for])
        return found

    async def changed(self) -> None:
        """Wait until something changes."""
        if self._models is None:
            await self._connected.wait()
        else:
            await self._models.changed()

    async def close(self) -> None:
        """Close what it was connected to."""
        if self._models is not None:
            await self._models.close()


class AwaitedSender:
    """Refuses until it is known that the topics are those that the store belongs to; then sends. For the loop."""

    def __init__(self, models: AwaitedModels) -> None:
        self._models = models
        self._sender: AsyncSender | None = None

    def connect(self, sender: AsyncSender) -> None:
        """Send through this from now on."""
        self._sender = sender

    async def send(
        self, topic: str, value: bytes | None, *, key: bytes | None = None, headers: Headers = ()
    ) -> Delivery:
        """Send one record and wait for its acknowledgement.

        Raises:
            OryxError: it was not acknowledged.
        """
        return await self._now().send(topic, value, key=key, headers=headers)

    async def send_many(self, records: Sequence[Outgoing]) -> list[Delivery]:
        """Send records in order and wait for what becomes of each; a delivery has the error.

        Raises:
            BrokerUnavailable: nothing is connected; none was sent.
        """
        return await self._now().send_many(records)

    def _now(self) -> AsyncSender:
        if self._sender is None:
            raise BrokerUnavailable(f"{self._models.reason}: nothing was stored")
        return self._sender


class Awaited:
    """All of them together; for the loop."""

    def __init__(self) -> None:
        self.models = AwaitedModels()
        self.sender = AwaitedSender(self.models)
        self._input_partitions: int | None = None

    def connect(self, models: ClosableModels, sender: AsyncSender, input_partitions: int) -> None:
        """Pass everything on from now on."""
        self._input_partitions = input_partitions
        self.sender.connect(sender)
        self.models.connect(models)

    def input_partitions(self) -> int:
        """Return how many partitions the input topic has.

        Raises:
            BrokerUnavailable: that is not known yet.
        """
        if self._input_partitions is None:
            raise BrokerUnavailable(self.models.reason)
        return self._input_partitions
