"""Oryx's rule on a real broker, on generations of our own and on an Oryx 2 batch layer's model."""

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from oryx_py.adapters.kafka import KafkaAdmin, KafkaConsumer, KafkaProducer
from oryx_py.events import Interaction, parse_value
from oryx_py.model.generations.generation import Generation
from oryx_py.runtime.stopping import Stopping
from speed_layer.bootstrap import run
from tests.support.generations import Pairs
from tests.support.oryx2_speed import IMPLICIT, Oryx2World, random_vectors
from tests.support.oryx_rule import Vectors, formula
from tests.support.speed import SpeedWorld

pytestmark = [pytest.mark.kafka]

ITEMS = ["p", "q", "r", "s", "t"]
BASE: Pairs = {
    "a": {"p": 1.0, "q": 2.0},
    "b": {"r": 1.0},
    "c": {"q": 1.0, "s": 3.0},
    "d": {"p": 2.0, "t": 1.0},
    "e": {"s": 1.0, "r": 2.0},
}
LINES = ["a,p,1,1", "new,q,1,2", "b,fresh,2.5,3", "a,q,-1,4", "new,p,3,5", "new,fresh,1,6", "c,fresh,-2,7"]


@pytest.fixture
def ports(kafka_broker: Any) -> Iterator[dict[str, Any]]:
    servers = kafka_broker.bootstrap_servers
    producer = KafkaProducer(servers, {})
    yield {
        "admin": KafkaAdmin(servers, {}),
        "producer": producer,
        "new_consumer": lambda group: KafkaConsumer(servers, {}, group),
    }
    producer.close()


def unique(name: str) -> str:
    return f"{name}-{os.getpid()}-{time.time_ns()}"


def parsed(*lines: str) -> list[Interaction]:
    return [parse_value(line.encode()) for line in lines]


def assert_close(found: Vectors, wanted: Vectors) -> None:
    for name, vector in wanted.items():
        np.testing.assert_allclose(found[name], vector, rtol=2e-5, atol=1e-6, err_msg=name)


def test_on_our_own_generation_each_interaction_counts_once_though_the_process_is_killed(
    ports: dict[str, Any], tmp_path: Path
) -> None:
    """Readers of the update topic end at the formula's vectors; nothing is closed in between."""
    world = SpeedWorld(tmp_path, unique("rule"), **ports, partitions=1, settings={"ORYX__SPEED__FOLD_IN": "oryx"})
    epoch = world.publish("g1", BASE, ITEMS, {})
    for lines in (LINES[:3], LINES[3:5], LINES[5:]):
        layer = world.start()
        world.send(*parsed(*lines))
        world.settle(layer, epoch)
    layer.close()
    world.close()
    made, reader = Generation.open(world.store.local("g1")), world.reader("g1", epoch)
    users, items = formula(
        {made.users.id(row): made.user_factors[row] for row in range(len(made.users))},
        {made.items.id(row): made.item_factors[row] for row in range(len(made.items))},
        parsed(*LINES),
        made.manifest.objective,
        (made.user_gram, made.item_gram),
    )
    assert_close({name: reader.user_vectors.gather(np.array([reader.users.find(name)]))[0] for name in users}, users)
    assert_close({name: reader.item_vectors.gather(np.array([reader.items.find(name)]))[0] for name in items}, items)


def test_the_layer_itself_runs_on_an_oryx_2_model_and_stops_when_asked(
    kafka_broker: Any, ports: dict[str, Any], tmp_path: Path, eventually: Callable[..., None]
) -> None:
    """As ``oryx speed`` runs it, from the settings alone; it needs neither store nor registry."""
    world = Oryx2World(tmp_path, unique("oryx2"), **ports)
    world.publish(random_vectors("abcde", 1), random_vectors("pqrst", 2))
    kafka = msgspec.structs.replace(world.settings.kafka, bootstrap_servers=kafka_broker.bootstrap_servers)
    stopping = Stopping()
    with ThreadPoolExecutor(1) as pool:
        code = pool.submit(run, msgspec.structs.replace(world.settings, kafka=kafka), stopping)
        consumer, where = ports["new_consumer"](world.settings.speed.group_id), (world.settings.input.topic, 0)
        try:
            eventually(lambda: code.done() or consumer.committed([where])[where] == 0)
            world.send("a,p,1,1")
            eventually(lambda: code.done() or len(world.sent()) == 2)
        finally:
            consumer.close()
            stopping.request()
        assert code.result(timeout=30) == 0
    world.close()
    assert not (tmp_path / "store").exists()


def test_on_an_oryx_2_model_a_client_that_knows_no_header_has_the_formulas_vectors(
    ports: dict[str, Any], tmp_path: Path
) -> None:
    """Each interaction by the Gram matrices of its moment; the second process goes on where the first was killed."""
    world = Oryx2World(tmp_path, unique("oryx2"), **ports)
    users, items = random_vectors("abcde", 1), random_vectors("pqrst", 2)
    model = world.publish(users, items)
    layer = world.start()
    for at, line in enumerate(LINES):
        if at == 4:
            layer = world.start()
        world.send(line)
        world.settle(layer)
    layer.close()
    world.close()
    X, Y = formula(users, items, parsed(*LINES), IMPLICIT)
    found = world.vectors(model)
    assert found[0].keys() == X.keys()
    assert found[1].keys() == Y.keys()
    assert_close(found[0], X)
    assert_close(found[1], Y)
