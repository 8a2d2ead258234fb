"""The serving layer's application in the test's own process: real models, no Kafka."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry

from oryx_py.adapters.clock import SystemClock
from oryx_py.config import Api
from oryx_py.errors import BrokerUnavailable, OryxError
from oryx_py.events import FoldSettings
from oryx_py.messages import partition_of
from oryx_py.model.generations.csr import Csr
from oryx_py.model.generations.generation import Generation, write_generation
from oryx_py.numerics.objective import Objective
from oryx_py.ports import Delivery, Headers, Outgoing
from serving_layer.app import build_app
from serving_layer.event_loop.broadcast import Broadcast
from serving_layer.metrics import Metrics
from serving_layer.model.readiness import NO_MODEL, Readiness
from serving_layer.model.served_model import ServedModel, served_model
from serving_layer.search.fold_in import ExactFolding, Folding
from serving_layer.startup.process_limits import one_core

INPUT_PARTITIONS = 2
LIMITS = {"max_line_size": 16_384, "max_field_size": 16_384, "auto_decompress": False}
"""Of aiohttp's own protocol, as `serving_layer.connections.bounded_connection` sets them."""
EPOCH = 3
ITEMS = {
    "a": [1.0, 0.0],
    "b": [0.0, 2.0],
    "c": [1.0, 1.0],
    "d": [-1.0, 0.5],
    "z/ä": [0.5, 0.5],
    "zero": [0.0, 0.0],
}
USERS = {"ann": [1.0, 0.5], "bob": [0.0, 1.0], "u/ñ=": [2.0, -1.0], "none": [0.0, 0.0]}
PAIRS = {
    "ann": {"a": 1.0, "b": 2.5},
    "bob": {"c": 1.0},
    "u/ñ=": {"a": -3.0, "z/ä": 1.0},
    "none": {"a": 0.0},
}
IMPLICIT = Objective.mllib_implicit(lambda_=0.1, alpha=2.0)


def write_world(
    into: Path,
    name: str,
    pairs: Mapping[str, Mapping[str, float]],
    user_factors: Mapping[str, Sequence[float]],
    item_factors: Mapping[str, Sequence[float]],
    covers: Mapping[int, int] | None = None,
    objective: Objective = IMPLICIT,
) -> Path:
    """Write a generation of these folded histories and factors; users without a history get none."""
    users = sorted((user for user in user_factors if pairs.get(user)), key=str.encode)
    items = sorted(item_factors, key=str.encode)
    into.mkdir(parents=True, exist_ok=True)
    write_generation(
        into,
        name=name,
        user_ids=users,
        item_ids=items,
        user_factors=np.array([user_factors[user] for user in users], np.float32),
        item_factors=np.array([item_factors[item] for item in items], np.float32),
        user_histories=Csr.from_pairs(
            np.array([row for row, user in enumerate(users) for _ in pairs[user]], np.int64),
            np.array([items.index(item) for user in users for item in pairs[user]], np.int64),
            np.array([strength for user in users for strength in pairs[user].values()], np.float64),
            len(users),
        ),
        objective=objective,
        fold=FoldSettings(feedback=objective.feedback),
        trainer="test",
        created_ms=1,
        as_of_ms=1,
        input={p: (0, (covers or {}).get(p, 0)) for p in range(INPUT_PARTITIONS)},
        interactions=sum(map(len, pairs.values())),
        rejected=0,
    )
    return into


def model_at(path: Path, epoch: int = 1, update_partitions: int = 1) -> ServedModel:
    """Open a generation and make its model."""
    return served_model(Generation.open(path), epoch, update_partitions)


class FixedModels:
    """Serves what it is told to."""

    def __init__(self, model: ServedModel | None = None) -> None:
        self.model = model
        self._broadcast = Broadcast()

    tracks_input = True

    def served(self) -> ServedModel | None:
        return self.model

    def readiness(self) -> Readiness:
        if self.model is None:
            return Readiness(ready=False, waiting_for=[NO_MODEL])
        return Readiness(ready=True, generation=self.model.generation, epoch=self.model.epoch)

    async def changed(self) -> None:
        await self._broadcast.changed()

    def notify(self) -> None:
        self._broadcast.notify()


@dataclass
class RecordingSender:
    """Acknowledges what is sent, until it is told to fail."""

    sent: list[Outgoing] = field(default_factory=list)
    fail_after: int | None = None
    refuse: OryxError | None = None

    async def send(
        self, topic: str, value: bytes | None, *, key: bytes | None = None, headers: Headers = ()
    ) -> Delivery:
        (delivery,) = await self.send_many([Outgoing(topic, value, key, headers)])
        if delivery.error is not None:
            raise delivery.error
        return delivery

    async def send_many(self, records: Sequence[Outgoing]) -> list[Delivery]:
        if self.refuse is not None:
            raise self.refuse
        return [self._deliver(record) for record in records]

    def _deliver(self, record: Outgoing) -> Delivery:
        if self.fail_after is not None and len(self.sent) >= self.fail_after:
            return Delivery(-1, -1, BrokerUnavailable("no acknowledgement from Kafka"))
        self.sent.append(record)
        partition = record.partition
        if partition is None:
            assert record.key is not None
            partition = partition_of(record.key.decode(), INPUT_PARTITIONS)
        return Delivery(partition, len(self.sent) - 1)


class Harness:
    """The application over HTTP; ``async with`` starts and stops it."""

    def __init__(
        self,
        models: FixedModels,
        sender: RecordingSender | None = None,
        *,
        clock: SystemClock | None = None,
        folding: Folding | None = None,
        **api: object,
    ) -> None:
        self.models = models
        self.sender = sender or RecordingSender()
        self.metrics = Metrics(CollectorRegistry())
        self._pool = ThreadPoolExecutor(2, initializer=one_core)
        self.app: web.Application = build_app(
            api=Api(**api),
            models=models,
            producer=self.sender,
            clock=clock or SystemClock(),
            metrics=self.metrics,
            pool=self._pool,
            input_topic="in",
            input_partitions=lambda: INPUT_PARTITIONS,
            new_request_id=lambda: "made-up",
            folding=folding or ExactFolding(),
        )

    async def __aenter__(self) -> TestClient:
        server = TestServer(self.app)
        await server.start_server(access_log=None, **LIMITS)
        self.client = TestClient(server)
        return self.client

    async def __aexit__(self, *_: object) -> None:
        await self.client.close()
        self._pool.shutdown()
