"""What handlers find in the application, and what a request carries."""

from collections.abc import Mapping
from concurrent.futures import Executor
from typing import Final, Literal, NamedTuple, TypeAlias

from aiohttp import web

from oryx_py.config import Api
from oryx_py.ports import Clock
from serving_layer.event_loop.bulk_write_turns import BulkWriteTurns
from serving_layer.http_semantics.byte_budget import ByteBudget
from serving_layer.ingestion.spool import SpoolPlace
from serving_layer.metrics import Metrics
from serving_layer.model.model_provider import ModelProvider
from serving_layer.model.served_model import ServedModel
from serving_layer.pages.files import Pages
from serving_layer.producing.ports import AsyncSender, Partitions
from serving_layer.producing.write_progress import WriteProgress
from serving_layer.requests.batch_read_turns import BatchReadTurns
from serving_layer.requests.request_ids import NewId
from serving_layer.rescoring.plugins import Plugins
from serving_layer.search.fold_in import Folding

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
    "BrokenOff",
    "Running",
    "Taken",
]


BrokenOff: TypeAlias = Literal["error", "client"]
"""Why an answer that had begun did not come to its end: by this side's fault, or the client went away."""


class Running:
    """How many requests are being answered, how many of these are writes, and how many reads wait beside them."""

    def __init__(self) -> None:
        self.count = 0
        self.writes = 0
        self.waiting = 0


class Taken(NamedTuple):
    """The model that a request is answered from, and what was in it when it was taken."""

    model: ServedModel
    input: Mapping[int, int]
    """By input partition: the offset below which everything was (`ModelState.reached`)."""


API: Final = web.AppKey("api", Api)
MODELS: Final = web.AppKey("models", ModelProvider)
PRODUCER: Final = web.AppKey("producer", AsyncSender)
FOLDING: Final = web.AppKey("folding", Folding)
CLOCK: Final = web.AppKey("clock", Clock)
METRICS: Final = web.AppKey("metrics", Metrics)
PLUGINS: Final = web.AppKey("plugins", Plugins)
POOL: Final = web.AppKey("pool", Executor)
BATCHES: Final = web.AppKey("batches", BatchReadTurns)
BODY_BUDGET: Final = web.AppKey("body_budget", ByteBudget)
SPOOLS: Final = web.AppKey("spools", SpoolPlace)
TURNS: Final = web.AppKey("turns", BulkWriteTurns)
RUNNING: Final = web.AppKey("running", Running)
INPUT_TOPIC: Final = web.AppKey("input_topic", str)
DEDUPE_RECORDS: Final = web.AppKey("dedupe_records", int)
"""So far back, by partition of the input, a repeat is known (``input.dedupe_records``)."""
INPUT_PARTITIONS: Final = web.AppKey("input_partitions", Partitions)
PAGES: Final = web.AppKey("pages", Pages)
NEW_REQUEST_ID: Final = web.AppKey("new_request_id", NewId)

REQUEST_ID: Final = web.RequestKey("request_id", str)
TAKEN: Final = web.RequestKey("taken", Taken)
"""Once a request has taken a model."""
BROKEN_OFF: Final = web.RequestKey("broken_off", str)
"""A `BrokenOff`; not there where the answer came to its end."""
STORED: Final = web.RequestKey("stored", WriteProgress)
"""What a bulk write has stored so far."""
