"""What the speed layer says of when an interaction came, so that its way to the answer can be measured."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from oryx_py.events import Interaction
from oryx_py.messages import ItemVector, Update, UserVector, decode
from tests.support.generations import Pairs
from tests.support.speed import SpeedWorld, fake_world

ITEMS = ["p", "q"]
BASE: Pairs = {"a": {"p": 1.0}, "b": {"q": 1.0}}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[SpeedWorld]:
    with fake_world(tmp_path, "times") as made:
        yield made


def sent(world: SpeedWorld, epoch: int) -> list[Update]:
    records = world.read(world.settings.update.topic)
    updates = [decode(record.key, record.value, record.headers) for record in records]
    return [update for update in updates if update.epoch == epoch and isinstance(update, UserVector | ItemVector)]


def came(world: SpeedWorld, *users: str) -> list[tuple[str, int]]:
    """Return when each record of these users came, in the order of the partitions' offsets."""
    records = world.read(world.settings.input.topic, world.partitions)
    return [
        (record.key.decode(), record.timestamp_ms) for record in records if record.key and record.key.decode() in users
    ]


def stamped(updates: list[Update]) -> list[tuple[str, int]]:
    return [(update.user, update.at_ms) for update in updates if isinstance(update, UserVector) and update.at_ms]


def test_what_answers_a_new_interaction_says_when_it_came(world: SpeedWorld) -> None:
    """Not what follows from others' interactions: c knows one new item only, and changes with a."""
    epoch = world.publish("g1", BASE, ITEMS, {})
    layer = world.start()
    world.settle(layer, epoch)
    for user, item in [("c", "new"), ("a", "new"), ("a", "q")]:
        world.send(Interaction(user, item, 1.0))
        world.settle(layer, epoch)
    layer.close()
    updates = sent(world, epoch)
    assert sorted(stamped(updates)) == sorted(came(world, "a", "b", "c"))
    moved = [update for update in updates if isinstance(update, UserVector) and update.user == "c"]
    assert [update.at_ms is None for update in moved] == [False, True, True]


def test_a_batch_says_when_the_users_newest_came(world: SpeedWorld) -> None:
    epoch = world.publish("g1", BASE, ITEMS, {})
    layer = world.start()
    world.settle(layer, epoch)
    world.send(*[Interaction("a", "q", 1.0)] * 3, Interaction("b", "", None), Interaction("b", "p", 2.0))
    world.settle(layer, epoch)
    layer.close()
    newest = {
        user: max(at for _, at in group)
        for user, group in itertools.groupby(sorted(came(world, "a", "b")), key=lambda pair: pair[0])
    }
    assert dict(stamped(sent(world, epoch))) == newest


def test_a_replay_says_nothing(world: SpeedWorld) -> None:
    """Neither onto a new epoch, nor after a restart; also when what was replayed moves again for others' sake."""
    world.send(Interaction("a", "q", 1.0), Interaction("c", "new", 1.0))
    first = world.publish("g1", BASE, ITEMS, {})
    layer = world.start()
    world.settle(layer, first)
    assert stamped(sent(world, first)) == []
    again = world.start()
    world.settle(again, first)
    second = world.publish("g2", BASE, ITEMS, {}, seed=3)
    world.settle(again, second)
    assert stamped(sent(world, first) + sent(world, second)) == []
    world.send(Interaction("a", "new", 1.0))
    world.settle(again, second)
    again.close()
    assert sent(world, second)[-1].user == "c"
    assert stamped(sent(world, second)) == came(world, "a")[-1:]
