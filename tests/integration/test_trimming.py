"""Trimming on a real broker: whoever starts afterwards finds what is needed, and answers the same."""

import asyncio
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec
import pytest
from prometheus_client import CollectorRegistry

from batch_layer.bootstrap import assemble
from batch_layer.layer import Outcome
from batch_layer.metrics import Metrics
from batch_layer.publish import Publisher
from batch_layer.recipe import recipe_of
from batch_layer.rolling_back import roll_back
from oryx_py.adapters.clock import SystemClock
from oryx_py.adapters.history_records import HistoryRecords
from oryx_py.adapters.kafka import KafkaAdmin, KafkaConsumer, KafkaProducer
from oryx_py.adapters.places import history_log
from oryx_py.cli.tail import records_of
from oryx_py.errors import LogGap
from oryx_py.events import Interaction
from oryx_py.model.generation import Generation
from oryx_py.ports import Record
from oryx_py.runtime.stopping import Stopping
from oryx_py.testing.fake_log import FakeLog
from serving_layer.bootstrap import Ports, serve
from tests.support.answers import assert_state
from tests.support.batch import SlowEngine, pairs_of
from tests.support.polling import until
from tests.support.speed import SpeedWorld

pytestmark = [pytest.mark.kafka]

USERS = [f"user {n}" for n in range(10)]
ITEMS = ("tea", "jam", "egg")


class Site(SpeedWorld):
    """A world with a batch layer and a serving layer of its own, whose topics are trimmed when it is told to."""

    def __init__(self, folder: Path, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        super().__init__(
            folder,
            f"trimming-{os.getpid()}-{time.time_ns()}",
            admin=KafkaAdmin(bootstrap, {}),
            producer=KafkaProducer(bootstrap, {}),
            new_consumer=lambda group: KafkaConsumer(bootstrap, {}, group),
            settings={
                "ORYX__KAFKA__BOOTSTRAP_SERVERS": bootstrap,
                "ORYX__MODEL__FEATURES": "3",
                "ORYX__MODEL__ITERATIONS": "2",
                "ORYX__BATCH__TRIM_KEEP_S": "0",
                "ORYX__SERVING__PORT": "0",
            },
        )
        root = Path(self.settings.history_uri)
        self.history = history_log(self.settings.history_uri)
        self.past = HistoryRecords(self.history, self.settings.input.topic, lambda path: (root / path).open("rb"))

    def interact(self, item: str, key: str | None = None) -> None:
        self.send(*(Interaction(user, item, n + 1.0) for n, user in enumerate(USERS)), key=key)

    def batch(self, *, trim: bool) -> Outcome:
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
        ).run()

    def newest(self) -> tuple[int, Generation]:
        epoch = self.registry.read().newest_epoch
        assert epoch is not None
        return epoch.epoch, Generation.open(self.store.local(epoch.generation))

    def follow(self) -> None:
        """Run a new speed layer until it has the newest epoch alone."""
        layer = self.start()
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


@pytest.fixture
def site(kafka_broker: Any, tmp_path: Path) -> Iterator[Site]:
    """Three generations, each followed by a speed layer; nothing was trimmed yet."""
    site = Site(tmp_path, kafka_broker.bootstrap_servers)
    for item in ITEMS:
        site.interact(item)
        site.send_raw(b"nonsense")
        assert site.batch(trim=False) is Outcome.PUBLISHED
        site.follow()
    yield site
    site.producer.close()
    site.close()


def test_what_starts_after_trimming_answers_the_same(site: Site) -> None:
    """Also where one goes back to a generation whose input only the history has any more."""
    topics = site.settings.input.topic, site.settings.update.topic
    told = site.read(topics[0], site.partitions)
    before = site.answers()
    assert {status for status, _ in before.values()} == {200}, before
    assert site.batch(trim=True) is Outcome.NOTHING_NEW
    registry = site.registry.read()
    second = Generation.open(site.store.local(registry.epochs[1].generation))
    assert site.admin.start_offsets(topics[0]) == second.manifest.next_offsets
    assert site.admin.start_offsets(topics[1]) == registry.epochs[1].start
    assert looked_at(site, topics[0]) == len(told) - sum(second.manifest.next_offsets.values()) > 0
    site.follow()
    assert site.answers() == before

    site.interact("pie")
    site.follow()
    told += [
        record for record in site.read(topics[0], site.partitions) if record.offset > _last(told, record.partition)
    ]
    oldest = registry.epochs[0].generation
    rolled_back(site, oldest)
    begins = site.admin.start_offsets(topics[0])
    assert any(begins[p] > n for p, n in site.newest()[1].manifest.next_offsets.items())
    site.follow()
    epoch, generation = site.newest()
    assert generation.name == oldest
    assert_state(site, oldest, pairs_of(generation), site.reader(oldest, epoch), told=told)
    answers = site.answers()
    for user in USERS:
        assert sorted(json.loads(answers[f"/knownItems/{quote(user)}"][1])) == sorted([*ITEMS, "pie"])


def test_without_the_history_the_layer_stops_and_says_what_to_do(site: Site) -> None:
    site.batch(trim=True)
    rolled_back(site, site.registry.read().epochs[0].generation)
    site.past = None
    layer = site.start()
    with pytest.raises(LogGap):
        site.run(layer, lambda: False, timeout_s=10)
    layer.close()


def looked_at(site: Site, topic: str) -> int:
    """How many records `oryx tail --from-beginning` shows."""
    rounds, consumer = iter(range(20)), site.new_consumer(None)
    shown = list(records_of(topic, site.admin, consumer, True, lambda: next(rounds, None) is not None))
    consumer.close()
    return len(shown)


def rolled_back(site: Site, generation: str) -> None:
    publisher = Publisher(
        registry=site.registry,
        store=site.store,
        producer=site.producer,
        admin=site.admin,
        new_consumer=lambda: site.new_consumer(None),
        topic=site.settings.update.topic,
        clock=SystemClock(),
    )
    roll_back(site.registry, site.store, publisher, generation)


def _last(records: list[Record], partition: int) -> int:
    return max(record.offset for record in records if record.partition == partition)
