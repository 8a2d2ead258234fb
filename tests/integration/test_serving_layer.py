"""The serving layer on a real broker: what it writes, it reads back; what it follows, it follows from the start."""

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

from oryx_py.adapters.clock import SystemClock
from oryx_py.adapters.kafka import KafkaAdmin, KafkaConsumer, KafkaProducer
from oryx_py.config import Settings
from oryx_py.config.groups import Api, Input, Serving, Update
from oryx_py.events import parse_value
from oryx_py.messages import Progress, UserVector, partition_of
from oryx_py.ports import EndOfPartition, Outgoing, Record
from oryx_py.runtime.stopping import Stopping
from serving_layer.bootstrap import serve
from serving_layer.startup.ports import Ports
from tests.support.polling import until
from tests.support.publishing import UPDATES, Publisher
from tests.support.serving import INPUT_PARTITIONS

pytestmark = [pytest.mark.kafka]


@pytest.fixture
def prefix() -> str:
    return f"serving-{os.getpid()}-{time.time_ns()}-"


@pytest.fixture
def producer(kafka_broker: Any) -> Iterator[KafkaProducer]:
    producer = KafkaProducer(kafka_broker.bootstrap_servers, {})
    yield producer
    producer.close()


@pytest.fixture
def publisher(kafka_broker: Any, tmp_path: Path, prefix: str, producer: KafkaProducer) -> Publisher:
    def append(record: Outgoing) -> None:
        producer.send(record.topic, record.value, key=record.key, headers=record.headers, partition=record.partition)
        producer.flush(30)

    admin = KafkaAdmin(kafka_broker.bootstrap_servers, {})
    return Publisher(tmp_path, 2, admin=admin, append=append, prefix=prefix)


async def test_a_bulk_is_stored_by_user_and_comes_back_as_a_model(
    kafka_broker: Any, publisher: Publisher, producer: KafkaProducer, prefix: str
) -> None:
    servers, stopping = kafka_broker.bootstrap_servers, Stopping()
    ports = Ports(
        admin=publisher.admin,
        producer=producer,
        new_consumer=lambda: KafkaConsumer(servers, {}, None),
        store=publisher.store,
        registry=publisher.registry,
        clock=SystemClock(),
    )
    settings = Settings(
        input=Input(topic=f"{prefix}in"),
        update=Update(topic=prefix + UPDATES),
        serving=Serving(port=0, api=Api(read_after_write_timeout_ms=20_000, request_timeout_ms=30_000)),
    )
    started = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(settings, ports, stopping, started.set_result))
    async with aiohttp.ClientSession(f"http://127.0.0.1:{await asyncio.wait_for(started, 30)}") as session:
        await until(lambda: takes_writes(session), 30)
        body = "".join(f"user-{n % 7},item-{n}\n" for n in range(2500))
        async with session.post("/ingest", data=body, headers={"Content-Type": "text/csv"}) as response:
            assert response.status == 204, await response.text()
            last = dict(pair.split(":") for pair in response.headers["X-Oryx-Offset"].split(","))
        records = await asyncio.to_thread(read_all, KafkaConsumer(servers, {}, None), f"{prefix}in")
        assert {str(r.partition): str(r.offset) for r in records} == last
        assert [r.partition for r in records] == [partition_of(f"{r.key.decode()}", INPUT_PARTITIONS) for r in records]
        for user in range(7):
            mine = [parse_value(r.value) for r in records if r.key == b"user-%d" % user]
            assert [i.item for i in mine] == [f"item-{n}" for n in range(2500) if n % 7 == user]

        epoch = publisher.publish("g1", covers={0: 0, 1: 0})
        await until(lambda: is_ready(session), 60)
        where = ",".join(f"{partition}:{offset}" for partition, offset in last.items())
        waiting = asyncio.create_task(session.get(f"/knownItems/user-1?after={where}"))
        home = partition_of("user-1", INPUT_PARTITIONS)
        vector = UserVector("user-1", np.ones(2, np.float32), ("item-1",), (1.0,), epoch, int(last[str(home)]))
        publisher.send(vector, partition_of("user-1", 2))
        publisher.send(Progress({int(p): int(o) + 1 for p, o in last.items()}, {0: True, 1: True}, epoch))
        response = await asyncio.wait_for(waiting, 30)
        assert await response.json() == ["item-1"]
    stopping.request()
    assert await asyncio.wait_for(task, 30) == 0


async def takes_writes(session: aiohttp.ClientSession) -> bool:
    """Say whether Kafka has answered: the layer listens before."""
    async with session.get("/ready") as response:
        return "Kafka" not in await response.text()


async def is_ready(session: aiohttp.ClientSession) -> bool:
    async with session.get("/ready") as response:
        return response.status == 200


def read_all(consumer: KafkaConsumer, topic: str) -> list[Record]:
    """Read a topic to its end, each partition in order."""
    consumer.assign({(topic, partition): 0 for partition in range(INPUT_PARTITIONS)})
    records: list[Record] = []
    ended: set[int] = set()
    while len(ended) < INPUT_PARTITIONS:
        for event in consumer.poll(1000, 1.0):
            if isinstance(event, EndOfPartition):
                ended.add(event.partition)
            else:
                records.append(event)
    consumer.close()
    return sorted(records, key=lambda record: (record.partition, record.offset))
