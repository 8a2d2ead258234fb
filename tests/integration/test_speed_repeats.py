"""Idempotency keys in the speed layer, on a real broker: counted once across restarts, epochs and what batch has."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oryx_py.adapters.kafka import KafkaAdmin, KafkaConsumer, KafkaProducer
from oryx_py.errors import LogGap
from oryx_py.events import Interaction
from oryx_py.messages import partition_of
from tests.support.answers import assert_state
from tests.support.generations import Pairs
from tests.support.speed import SpeedWorld

pytestmark = [pytest.mark.kafka]

ITEMS = ["p", "q", "r", "s"]
BASE: Pairs = {"a": {"p": 1.0, "q": 2.0}, "b": {"r": 1.0}, "c": {"q": 1.0, "s": 3.0}}
BULK = [Interaction(user=user, item=item, strength=2.0) for user in "abmn" for item in ("p", "x")]


@pytest.fixture
def world(kafka_broker: Any, tmp_path: Path) -> Iterator[SpeedWorld]:
    servers = kafka_broker.bootstrap_servers
    producer = KafkaProducer(servers, {})
    made = SpeedWorld(
        tmp_path,
        f"repeats-{os.getpid()}-{time.time_ns()}",
        admin=KafkaAdmin(servers, {}),
        producer=producer,
        new_consumer=lambda group: KafkaConsumer(servers, {}, group),
    )
    yield made
    made.close()
    producer.close()


def known(world: SpeedWorld, name: str, epoch: int, user: str) -> dict[str, float]:
    state = world.reader(name, epoch)
    items, strengths = state.history(state.users.find(user))
    return dict(zip(state.items.ids(items.tolist()), strengths.tolist(), strict=True))


def ends(world: SpeedWorld) -> dict[int, int]:
    return world.admin.end_offsets(world.settings.input.topic)


def test_what_is_sent_twice_under_one_key_counts_once_also_after_a_restart(world: SpeedWorld) -> None:
    epoch = world.publish("g1", BASE, ITEMS, {})
    layer = world.start()
    world.send(*BULK, key="k")
    world.settle(layer, epoch)
    world.send(*BULK, key="k")
    world.settle(layer, epoch)
    assert layer._metrics.repeats._value.get() == len(BULK)
    again = world.start()  # the first one died
    world.send(*BULK, key="k")
    world.send(*BULK[:3], key="another")
    world.send(*BULK[:1])
    world.settle(again, epoch)
    again.close()
    assert known(world, "g1", epoch, "a") == {"p": 1.0 + 2.0 + 2.0 + 2.0, "q": 2.0, "x": 2.0 + 2.0}
    assert known(world, "g1", epoch, "n") == {"p": 2.0, "x": 2.0}
    assert_state(world, "g1", BASE, world.reader("g1", epoch))


def test_what_the_generation_has_is_not_counted_again(world: SpeedWorld) -> None:
    """The IDs of the window before it are read from the log, at a start and at a change of epoch."""
    world.send(*BULK, key="k")
    first = world.publish("g1", BASE, ITEMS, ends(world))
    layer = world.start()
    world.send(*BULK, key="k")
    world.settle(layer, first)
    assert known(world, "g1", first, "a") == BASE["a"]
    world.send(*BULK, key="later")
    pairs = {**BASE, "m": {"p": 2.0}}
    second = world.publish("g2", pairs, ITEMS, ends(world), seed=4)
    world.send(*BULK, key="later")
    world.settle(layer, second)
    layer.close()
    assert known(world, "g2", second, "m") == {"p": 2.0}
    assert_state(world, "g2", pairs, world.reader("g2", second))


def test_deletes_and_forgets_that_repeat_are_ignored(world: SpeedWorld) -> None:
    """An item's is sent to every partition under one ID, and counts once in each."""
    epoch = world.publish("g1", BASE, ITEMS, {})
    layer = world.start()

    def take_back() -> None:
        world.send(Interaction("a", "p", None), Interaction("b", "", None), key="gone")
        for partition in range(world.partitions):
            headers = (("id", b"forget:0"),)
            world.producer.send(world.settings.input.topic, b",q,", partition=partition, headers=headers)
        world.producer.flush(30)

    take_back()
    world.settle(layer, epoch)
    assert known(world, "g1", epoch, "a") == {}
    assert known(world, "g1", epoch, "c") == {"s": 3.0}
    anew = [Interaction("a", "p", 1.0), Interaction("b", "r", 1.0), Interaction("a", "q", 1.0)]
    world.send(*anew)
    take_back()
    world.settle(layer, epoch)
    layer.close()
    assert known(world, "g1", epoch, "a") == {"p": 1.0, "q": 1.0}
    assert known(world, "g1", epoch, "b") == {"r": 1.0}
    assert_state(world, "g1", BASE, world.reader("g1", epoch))


def test_a_dead_letter_uses_no_id_up(world: SpeedWorld) -> None:
    """Neither live nor in what is read back."""
    user = next(name for name in "abc" if partition_of(name, 2) == 0)
    topic, headers = world.settings.input.topic, (("id", b"k:0"),)

    def send_bad() -> None:
        world.producer.send(topic, f"{user},p,rubbish".encode(), partition=0, headers=headers)
        world.producer.flush(30)

    send_bad()
    epoch = world.publish("g1", BASE, ITEMS, ends(world))
    send_bad()
    layer = world.start()
    world.send(Interaction(user, "x", 1.0), key="k")
    world.settle(layer, epoch)
    layer.close()
    assert known(world, "g1", epoch, user) == {**BASE[user], "x": 1.0}


def test_a_log_that_no_longer_has_the_window_is_refused(world: SpeedWorld) -> None:
    """Counting twice in silence would be worse; without IDs in the window nothing of it is needed."""
    world.send(*BULK, key="k")
    covered = ends(world)
    world.publish("g1", BASE, ITEMS, covered)
    world.admin.trim(world.settings.input.topic, covered)
    with pytest.raises(LogGap, match=r"input\.dedupe_window_s"):
        world.start()
    epoch = world.publish("g2", BASE, ITEMS, covered, dedupe_from={})
    world.begin("g2")
    layer = world.start()
    world.settle(layer, epoch + 1)
    layer.close()
