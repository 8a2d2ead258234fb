"""A speed world with a batch and a serving layer of its own on a real broker, without Spark."""

import asyncio
import os
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec
from prometheus_client import CollectorRegistry

from batch_layer.assembly import assemble
from batch_layer.recipe import recipe_of
from batch_layer.run.steps import Outcome
from batch_layer.telemetry.metrics import Metrics
from oryx_py.adapters.clock import SystemClock
from oryx_py.adapters.history_records import HistoryRecords
from oryx_py.adapters.kafka import KafkaAdmin, KafkaConsumer, KafkaProducer
from oryx_py.adapters.places import history_log
from oryx_py.events import Interaction
from oryx_py.model.generations.generation import Generation
from oryx_py.runtime.stopping import Stopping
from oryx_py.testing.fake_log import FakeLog
from serving_layer.bootstrap import serve
from serving_layer.startup.ports import Ports
from tests.support.batch import SlowEngine
from tests.support.polling import until
from tests.support.speed import SpeedWorld

__all__ = ["USERS", "Site"]

USERS = [f"user {n}" for n in range(10)]


class Site(SpeedWorld):
    """A world with a batch layer and a serving layer of its own, whose topics are trimmed when it is told to."""

    def __init__(self, folder: Path, bootstrap: str, **settings: object) -> None:
        self.bootstrap = bootstrap
        super().__init__(
            folder,
            f"site-{os.getpid()}-{time.time_ns()}",
            admin=KafkaAdmin(bootstrap, {}),
            producer=KafkaProducer(bootstrap, {}),
            new_consumer=lambda group: KafkaConsumer(bootstrap, {}, group),
            settings={
                "ORYX__KAFKA__BOOTSTRAP_SERVERS": bootstrap,
                "ORYX__MODEL__FEATURES": "3",
                "ORYX__MODEL__ITERATIONS": "2",
                "ORYX__BATCH__TRIM_KEEP_S": "0",
                "ORYX__SERVING__PORT": "0",
                **{f"ORYX__{name}": str(value) for name, value in settings.items()},
            },
        )
        root = Path(self.settings.history_uri)
        self.history = history_log(self.settings.history_uri)
        self.past = HistoryRecords(self.history, self.settings.input.topic, lambda path: (root / path).open("rb"))

    def interact(self, item: str, key: str | None = None) -> None:
        self.send(*(Interaction(user, item, n + 1.0) for n, user in enumerate(USERS)), key=key)

    def batch(self, *, trim: bool, force: bool = False) -> Outcome:
        """Do one run of the batch layer as it is put together for Kafka, with a slow engine."""
        batch = msgspec.structs.replace(self.settings.batch, trim=trim)
        settings = msgspec.structs.replace(self.settings, batch=batch)
        engine = SlowEngine(
            FakeLog(),
            settings.input.topic,
            recipe_of(settings.model, settings.batch.trainer, settings.input),
            new_consumer=lambda: KafkaConsumer(self.bootstrap, {}),
        )
        return assemble(
            settings,
            self.bootstrap,
            engine=engine,
            producer=self.producer,
            metrics=Metrics(CollectorRegistry()),
            stopping=Stopping(),
        ).run(force=force)

    def newest(self) -> tuple[int, Generation]:
        epoch = self.registry.read().newest_epoch
        assert epoch is not None
        return epoch.epoch, Generation.open(self.store.local(epoch.generation))

    def follow(self, *, checkpoints: bool = False) -> None:
        """Run a new speed layer until it has the newest epoch alone."""
        layer = self.start(checkpoints=checkpoints)
        self.settle(layer, self.newest()[0])
        layer.close()

    def answers(self) -> dict[str, Any]:
        """Start a serving layer and ask it for all that it knows."""
        return asyncio.run(self._asked())

    async def _asked(self) -> dict[str, Any]:
        stopping, started = Stopping(), asyncio.get_running_loop().create_future()
        ports = Ports(
            admin=self.admin,
            producer=self.producer,
            new_consumer=lambda: KafkaConsumer(self.bootstrap, {}),
            store=self.store,
            registry=self.registry,
            clock=SystemClock(),
            checkpoints=self.checkpoints,
        )
        task = asyncio.create_task(serve(self.settings, ports, stopping, started.set_result))
        async with aiohttp.ClientSession(f"http://127.0.0.1:{await asyncio.wait_for(started, 30)}") as session:

            async def get(path: str) -> Any:
                async with session.get(path) as response:
                    return response.status, await response.text()

            async def ready() -> bool:
                return (await get("/ready"))[0] == 200

            await until(ready, 60)
            paths = ["/mostPopularItems", "/item/allIDs", "/user/allIDs"]
            paths += [f"/{what}/{quote(user)}" for user in USERS for what in ("knownItems", "recommend")]
            found = {path: await get(path) for path in paths}
        stopping.request()
        assert await asyncio.wait_for(task, 30) == 0
        return found
