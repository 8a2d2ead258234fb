"""What handlers find in the application, and what a request carries."""

from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Final, Protocol

from aiohttp import web

from oryx_py.config import Api
from oryx_py.ports import Clock, Delivery, Headers, Outgoing
from serving_layer.bodies import ByteBudget
from serving_layer.metrics import Metrics
from serving_layer.model_manager import Models
from serving_layer.served import ServedModel
from serving_layer.stored import Stored

__all__ = [
    "API",
    "BODY_BUDGET",
    "CLOCK",
    "INPUT_PARTITIONS",
    "INPUT_TOPIC",
    "METRICS",
    "MODELS",
    "NEW_REQUEST_ID",
    "POOL",
    "PREFIX_SEGMENTS",
    "PRODUCER",
    "REQUEST_ID",
    "RUNNING",
    "STORED",
    "TAKEN",
    "AsyncSender",
    "NewId",
    "Running",
]


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


class NewId(Protocol):
    """Makes up the ID of a request that came without."""

    def __call__(self) -> str:
        """Return an ID that no other request has."""
        ...


class Running:
    """How many requests are being answered, and how many of these are writes."""

    def __init__(self) -> None:
        self.count = 0
        self.writes = 0


API: Final = web.AppKey("api", Api)
MODELS: Final = web.AppKey("models", Models)
PRODUCER: Final = web.AppKey("producer", AsyncSender)
CLOCK: Final = web.AppKey("clock", Clock)
METRICS: Final = web.AppKey("metrics", Metrics)
POOL: Final = web.AppKey("pool", Executor)
BODY_BUDGET: Final = web.AppKey("body_budget", ByteBudget)
RUNNING: Final = web.AppKey("running", Running)
INPUT_TOPIC: Final = web.AppKey("input_topic", str)
INPUT_PARTITIONS: Final = web.AppKey("input_partitions", int)
PREFIX_SEGMENTS: Final = web.AppKey("prefix_segments", int)
"""How many segments the context path has."""
NEW_REQUEST_ID: Final = web.AppKey("new_request_id", NewId)

REQUEST_ID: Final = web.RequestKey("request_id", str)
TAKEN: Final = web.RequestKey("taken", ServedModel)
"""The model that a request is answered from, once it has taken one."""
STORED: Final = web.RequestKey("stored", Stored)
"""What a bulk write has stored so far."""
