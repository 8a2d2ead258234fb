"""An Oryx 2 batch layer on a real broker: its models are served by the layer as it is deployed."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

from oryx_py.adapters.clock import SystemClock
from oryx_py.adapters.kafka import KafkaAdmin, KafkaConsumer, KafkaProducer
from oryx_py.adapters.places import open_registry, open_store
from oryx_py.config import Settings
from oryx_py.config.groups import Api, Input, Serving, Speed, Update
from oryx_py.ports import Outgoing
from oryx_py.runtime.stopping import Stopping
from serving_layer.bootstrap import serve
from serving_layer.startup.ports import Ports
from tests.support.oryx2 import up
from tests.support.oryx2_publishing import Oryx2Publisher

pytestmark = [pytest.mark.kafka]

FEATURES = 5
RNG = np.random.default_rng(4)


def side(letter: str, count: int) -> dict[str, list[float]]:
    return {f"{letter} {n}": RNG.normal(size=FEATURES).astype(np.float32).tolist() for n in range(count)}


USERS, ITEMS = side("ü", 300), side("i", 1200)
MOVED = side("i", 1200)
KNOWN = {user: [f"i {n}" for n in range(at % 7)] for at, user in enumerate(USERS)}


@pytest.fixture
def prefix() -> str:
    return f"oryx2-{os.getpid()}-{time.time_ns()}-"


@pytest.fixture
def producer(kafka_broker: Any) -> Iterator[KafkaProducer]:
    # Java's producer chooses the partition by the key's murmur2, as ours does.
    producer = KafkaProducer(kafka_broker.bootstrap_servers, {})
    yield producer
    producer.close()


@asynccontextmanager
async def served(
    broker: Any, prefix: str, folder: Path, producer: KafkaProducer
) -> AsyncIterator[aiohttp.ClientSession]:
    """Run the whole layer with an Oryx 2 operator's settings."""
    servers, stopping = broker.bootstrap_servers, Stopping()
    ports = Ports(
        admin=KafkaAdmin(servers, {}),
        producer=producer,
        new_consumer=lambda: KafkaConsumer(servers, {}, None),
        store=open_store(str(folder / "store")),
        registry=open_registry(str(folder / "store")),
        clock=SystemClock(),
    )
    settings = Settings(
        input=Input(topic=f"{prefix}in"),
        update=Update(topic=f"{prefix}up", dialect="oryx2"),
        speed=Speed(fold_in="oryx"),
        serving=Serving(port=0, api=Api(default_format="csv", number_format="java")),
        base=str(folder),
    )
    started = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(settings, ports, stopping, started.set_result))
    port = await asyncio.wait_for(started, 30)
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            yield session
    finally:
        stopping.request()
        await asyncio.wait_for(task, 30)


async def answers(session: aiohttp.ClientSession, path: str, wanted: str, timeout_s: float = 30) -> None:
    """Ask until that is the answer."""
    text = None
    try:
        async with asyncio.timeout(timeout_s):
            while text != wanted:
                async with session.get(path) as response:
                    text = await response.text()
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"{path} answers {text!r}, not {wanted!r}") from None


def best(user: str, items: dict[str, list[float]]) -> str:
    """Write what Oryx 2 answers to /recommend, the slow and obvious way."""
    x = np.array(USERS[user], np.float32).astype(np.float64)
    scores = {name: np.float32(x @ np.array(y, np.float32)) for name, y in items.items() if name not in KNOWN[user]}
    ranked = sorted(scores.items(), key=lambda pair: (-pair[1], pair[0].encode()))[:10]
    return "".join(f"{name},{score!s}\n" for name, score in ranked)


@pytest.mark.parametrize("partitions", [1, 2])
async def test_models_of_both_kinds_are_served_one_after_the_other(
    kafka_broker: Any, tmp_path: Path, prefix: str, producer: KafkaProducer, partitions: int
) -> None:
    def append(record: Outgoing) -> None:
        producer.send(record.topic, record.value, key=record.key, headers=record.headers, partition=record.partition)

    admin = KafkaAdmin(kafka_broker.bootstrap_servers, {})
    publisher = Oryx2Publisher(tmp_path, partitions, admin=admin, append=append, prefix=prefix)
    publisher.model(USERS, ITEMS, FEATURES)
    publisher.vectors(USERS, ITEMS, KNOWN)
    producer.flush(30)
    async with served(kafka_broker, prefix, tmp_path, producer) as session:
        for user in ("ü 0", "ü 6"):
            await answers(session, f"/recommend/{user}", best(user, ITEMS))
        publisher.model_ref("2", USERS, MOVED, FEATURES)
        publisher.vectors(USERS, MOVED, KNOWN)
        publisher.send(b"UP", up("Y", "i 0", [1e-4, 0, 0, 0, 0]))
        publisher.send(b"UP", up("X", "nobody", [1, 0, 0, 0, 0]))
        producer.flush(30)
        for user in ("ü 0", "ü 6"):
            await answers(session, f"/recommend/{user}", best(user, MOVED | {"i 0": [1e-4, 0, 0, 0, 0]}))
        await answers(session, "/estimate/nobody/i%200", "1.0E-4\n")
    async with served(kafka_broker, prefix, tmp_path, producer) as session:
        await answers(session, "/estimate/nobody/i%200", "1.0E-4\n")
        async with session.get("/ready") as response:
            assert response.status == 200
        async with session.get("/recommend/nobody", params={"after": "0:0"}) as response:
            assert response.status == 501
