"""What handlers find in the application, and what a request carries."""

from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Final, Literal, Protocol, TypeAlias

from aiohttp import web

from oryx_py.config import Api
from oryx_py.ports import Clock, Delivery, Headers, Outgoing
from serving_layer.batch_turns import BatchTurns
from serving_layer.bodies import ByteBudget
from serving_layer.folding import Folding
from serving_layer.ingestion.spool import SpoolPlace
from serving_layer.ingestion.turns import Turns
from serving_layer.metrics import Metrics
from serving_layer.models import Models
from serving_layer.pages.files import Pages
from serving_layer.rescoring.plugins import Plugins
from serving_layer.served import ServedModel
from serving_layer.stored import Stored

__all__ = [
    "API",
    "BATCHES",
    "BODY_BUDGET",
    "BROKEN_OFF",
    "CLOCK",
    "DEDUPE_RECORDS",
    "FOLDING",
    "INPUT_PARTITIONS",
    "INPUT_TOPIC",
    "METRICS",
    "MODELS",
    "NEW_REQUEST_ID",
    "PAGES",
    "PLUGINS",
    "POOL",
    "PRODUCER",
    "REQUEST_ID",
    "RUNNING",
    "SPOOLS",
    "STORED",
    "TAKEN",
    "TURNS",
    "AsyncSender",
    "BrokenOff",
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


class Partitions(Protocol):
    """Tells how many partitions the input topic has."""

    def __call__(self) -> int:
        """Return it.

        Raises:
            BrokerUnavailable: that is not known yet.
        """
        ...


BrokenOff: TypeAlias = Literal["error", "client"]
"""Why an answer that had begun did not come to its end: by this side's fault, or the client went away."""


class Running:
    """How many requests are being answered, and how many of these are writes."""

    def __init__(self) -> None:
        self.count = 0
        self.writes = 0


API: Final = web.AppKey("api", Api)
MODELS: Final = web.AppKey("models", Models)
PRODUCER: Final = web.AppKey("producer", AsyncSender)
FOLDING: Final = web.AppKey("folding", Folding)
CLOCK: Final = web.AppKey("clock", Clock)
METRICS: Final = web.AppKey("metrics", Metrics)
PLUGINS: Final = web.AppKey("plugins", Plugins)
POOL: Final = web.AppKey("pool", Executor)
BATCHES: Final = web.AppKey("batches", BatchTurns)
BODY_BUDGET: Final = web.AppKey("body_budget", ByteBudget)
SPOOLS: Final = web.AppKey("spools", SpoolPlace)
TURNS: Final = web.AppKey("turns", Turns)
RUNNING: Final = web.AppKey("running", Running)
INPUT_TOPIC: Final = web.AppKey("input_topic", str)
DEDUPE_RECORDS: Final = web.AppKey("dedupe_records", int)
"""So far back, by partition of the input, a repeat is known (``input.dedupe_records``)."""
INPUT_PARTITIONS: Final = web.AppKey("input_partitions", Partitions)
PAGES: Final = web.AppKey("pages", Pages)
NEW_REQUEST_ID: Final = web.AppKey("new_request_id", NewId)

REQUEST_ID: Final = web.RequestKey("request_id", str)
TAKEN: Final = web.RequestKey("taken", ServedModel)
"""The model that a request is answered from, once it has taken one."""
BROKEN_OFF: Final = web.RequestKey("broken_off", str)
"""A `BrokenOff`; not there where the answer came to its end."""
STORED: Final = web.RequestKey("stored", Stored)
"""What a bulk write has stored so far."""
