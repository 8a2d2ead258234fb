"""The layer put together: it starts, writes to the log, follows it, and stops without leaving anything."""

import asyncio
import socket
import threading

import aiohttp
import numpy as np
import pytest

from oryx_py.adapters.clock import SystemClock
from oryx_py.config import Settings
from oryx_py.config.groups import Api, Input, Serving, Update
from oryx_py.errors import BrokerUnavailable, ConfigError, TopicsChanged
from oryx_py.messages import Progress, UserVector
from oryx_py.ports import TopicSpec
from oryx_py.runtime.stopping import Stopping
from oryx_py.testing.fake_broker import PartitionLog
from oryx_py.testing.fake_log import FakeConsumer, FakeProducer
from serving_layer.bootstrap import serve
from serving_layer.startup.ports import Ports
from tests.support.polling import until
from tests.support.publishing import UPDATES, Publisher


@pytest.fixture
def publisher(tmp_path):
    return Publisher(tmp_path)


@pytest.fixture
def ports(publisher):
    ports = Ports(
        admin=publisher.admin,
        producer=FakeProducer(publisher.log),
        new_consumer=lambda: FakeConsumer(publisher.log),
        store=publisher.store,
        registry=publisher.registry,
        clock=SystemClock(),
    )
    yield ports
    ports.producer.close()


def settings(**serving):
    return Settings(input=Input(topic="in"), update=Update(topic=UPDATES), serving=Serving(**{"port": 0, **serving}))


class Running:
    """The layer in a task; ``url`` once it accepts connections."""

    def __init__(self, settings, ports):
        self.stopping = Stopping()
        self.port = asyncio.get_running_loop().create_future()
        self.task = asyncio.create_task(serve(settings, ports, self.stopping, self.port.set_result))

    async def __aenter__(self):
        await asyncio.wait({self.port, self.task}, return_when=asyncio.FIRST_COMPLETED, timeout=20)
        self.url = f"http://127.0.0.1:{self.port.result()}"
        self.session = aiohttp.ClientSession()
        return self

    async def __aexit__(self, *_):
        self.stopping.request()
        try:
            assert await asyncio.wait_for(self.task, 20) == 0
        finally:
            await self.session.close()

    async def takes_writes(self):
        async with self.session.get(self.url + "/ready") as response:
            return "Kafka" not in await response.text()

    async def is_ready(self):
        return (await self.get("/ready"))[0] == 200

    async def get(self, path):
        async with self.session.get(self.url + path) as response:
            return response.status, await response.json(content_type=None)


async def test_a_write_comes_back_through_the_log(publisher, ports):
    async with Running(settings(), ports) as running:
        assert (await running.get("/ready"))[0] == 503
        await until(running.takes_writes)
        async with running.session.post(f"{running.url}/pref/new/a", data="2") as response:
            assert response.status == 204, "writes need no model"
            where = response.headers["X-Oryx-Offset"]
        partition, offset = map(int, where.split(":"))
        (record,) = publisher.log.partition("in", partition).records
        assert (record.offset, record.key) == (offset, b"new")
        assert record.value.startswith(b"new,a,2,")
        epoch = publisher.publish("g1", covers={0: 0, 1: 0})
        await until(running.is_ready)
        waiting = asyncio.create_task(running.get(f"/recommend/new?after={where}"))
        publisher.send(UserVector("new", np.array([1, 0], np.float32), ("a",), (2.0,), epoch=epoch, input=offset))
        publisher.send(Progress({partition: offset + 1}, {partition: True}, epoch))
        status, answer = await asyncio.wait_for(waiting, 20)
        assert status == 200
        assert "a" not in {row["id"] for row in answer}
    assert not [t.name for t in threading.enumerate() if t.name.startswith(("follow", "load", "look", "search"))]


async def test_what_was_begun_is_finished_before_it_stops(publisher, ports):
    running = Running(settings(shutdown_grace_s=20), ports)
    async with running:
        await until(running.takes_writes)
        with publisher.log.outage():
            write = asyncio.create_task(running.session.post(f"{running.url}/pref/u/i"))
            await until(lambda: ports.producer._queue)
            running.stopping.request()
            await until(lambda: refuses(running))
        assert (await write).status == 204


async def refuses(running):
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", running.port.result())
    except OSError:
        return True
    writer.close()
    return False


async def test_a_missing_topic_is_said_at_the_start(publisher, ports):
    publisher.log.delete("in")
    with pytest.raises(TopicsChanged, match="there is no topic in"):
        await serve(settings(), ports, Stopping())


async def test_a_port_that_is_taken_is_said_at_the_start(ports):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"serving.port = {port}"):
            await serve(settings(port=port), ports, Stopping())


async def test_while_the_broker_is_away_a_start_can_be_stopped(publisher, ports):
    stopping = Stopping()
    with publisher.log.outage():
        task = asyncio.create_task(serve(settings(), ports, stopping))
        await asyncio.sleep(0)
        stopping.request()
        assert await asyncio.wait_for(task, 20) == 0


async def test_while_the_broker_is_away_it_says_so_and_then_comes_up_by_itself(publisher, ports):
    publisher.publish("g1", covers={0: 0, 1: 0})
    with publisher.log.outage():
        async with Running(settings(), ports) as running:
            assert (await running.get("/healthz"))[0] == 200
            for path in ("/ready", "/recommend/ann", "/recommend/ann?after=0:1", "/mostPopularItems"):
                async with running.session.get(running.url + path) as response:
                    assert response.status == 503, path
                    assert response.headers["Retry-After"] == "1"
                    assert "Kafka" in (await response.json(content_type=None))["detail"]
            for method, path in (("DELETE", "/pref/u/i"), ("DELETE", "/item/a"), ("POST", "/ingest")):
                async with running.session.request(method, running.url + path, data="u,i") as response:
                    assert response.status == 503, path
                    assert "Kafka" in (await response.json(content_type=None))["detail"]
            publisher.log.set_down(False)
            await until(running.is_ready)
            assert (await running.get("/recommend/ann"))[0] == 200
            async with running.session.post(f"{running.url}/pref/u/i") as response:
                assert response.status == 204
    assert sum(len(publisher.log.partition("in", number).records) for number in range(2)) == 1


async def test_topics_that_turn_out_to_be_others_end_it(publisher, ports):
    stopping = Stopping()
    with publisher.log.outage():
        task = asyncio.create_task(serve(settings(), ports, stopping))
        await asyncio.sleep(0)
        publisher.log.delete("in")
    with pytest.raises(TopicsChanged, match="there is no topic in"):
        await asyncio.wait_for(task, 20)


async def test_settings_reach_the_interface(ports):
    async with Running(settings(api=Api(context_path="/x", read_only=True)), ports) as running:
        assert (await running.get("/x/healthz"))[0] == 200
        async with running.session.post(f"{running.url}/x/ingest", data="u,i") as response:
            assert response.status == 403


async def test_a_body_under_a_key_is_held_to_the_records_that_the_layers_know_again(ports):
    known = Settings(input=Input(topic="in", dedupe_records=1), update=Update(topic=UPDATES), serving=Serving(port=0))
    async with Running(known, ports) as running:
        await until(running.takes_writes)
        headers = {"Idempotency-Key": "k", "Content-Type": "text/csv"}
        async with running.session.post(f"{running.url}/ingest", data="u,i\nu,j", headers=headers) as response:
            assert response.status == 413
            assert "more than 1 lines" in await response.text()


async def test_a_write_whose_place_kafka_keeps_to_itself_is_answered_as_stored(publisher, ports):
    async with Running(settings(require_live=False), ports) as running:
        publisher.publish("g1", covers={0: 0, 1: 0})
        await until(running.is_ready)
        publisher.log.withhold_offsets(1)
        for tells in (False, True):
            async with running.session.post(f"{running.url}/pref/new/a", data="2") as response:
                assert response.status == 204
                assert ("X-Oryx-Offset" in response.headers) is tells


async def test_when_the_topic_gets_more_partitions_writes_are_refused_with_the_way_out(publisher, ports, monkeypatch):
    monkeypatch.setattr("serving_layer.startup.connecting.LOOK_S", 0.05)
    async with Running(settings(require_live=False), ports) as running:
        publisher.publish("g1", covers={0: 0, 1: 0})
        await until(running.is_ready)
        publisher.log.topic("in").partitions.append(PartitionLog())
        await until(lambda: is_not_ready(running))
        status, told = await running.get("/ready")
        assert status == 503
        assert "topic in has 3 partitions, it had 2" in str(told)
        async with running.session.post(f"{running.url}/pref/new/a", data="2") as response:
            assert response.status == 503
            assert "oryx history export" in await response.text()
        assert not any(publisher.log.partition("in", partition).records for partition in range(3))
        assert (await running.get("/recommend/user-1"))[0] != 503, "reads go on"


async def test_when_the_topic_is_created_anew_writes_are_refused_with_the_way_out(publisher, ports, monkeypatch):
    """Its offsets mean something else, and it may have nothing of what the old one had."""
    monkeypatch.setattr("serving_layer.startup.connecting.LOOK_S", 0.05)
    async with Running(settings(require_live=False), ports) as running:
        publisher.publish("g1", covers={0: 0, 1: 0})
        await until(running.is_ready)
        partitions = len(publisher.log.topic("in").partitions)
        publisher.log.delete("in")
        async with running.session.post(f"{running.url}/pref/new/a", data="2") as response:
            assert response.status == 503
        publisher.admin.create(TopicSpec("in", partitions, 1, {}))
        await until(lambda: is_not_ready(running))
        async with running.session.post(f"{running.url}/pref/new/a", data="2") as response:
            assert response.status == 503
            assert "topic in was created anew" in await response.text()
        looks = []

        def away(topic):
            looks.append(topic)
            raise BrokerUnavailable("no answer")

        monkeypatch.setattr(publisher.admin, "partitions", away)
        await until(lambda: len(looks) > 2)
        async with running.session.post(f"{running.url}/pref/new/a", data="2") as response:
            assert "topic in was created anew" in await response.text(), "no answer takes nothing back"
        assert not any(publisher.log.partition("in", partition).records for partition in range(partitions))


async def is_not_ready(running):
    return not await running.is_ready()
