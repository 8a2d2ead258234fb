"""A start among interactions that are more, or make more stale, than a step may solve: it comes to its end."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from oryx_py.events import Interaction
from speed_layer.epochs.run import Phase
from tests.support.generations import Pairs
from tests.support.speed import SpeedWorld, fake_world

SOLVES, NEW = 3, 20
ITEMS = ["p", "q"]
BASE: Pairs = {"hot": {"p": 1.0}, "b": {"q": 1.0}}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[SpeedWorld]:
    settings = {"ORYX__SPEED__STALE_SOLVES": str(SOLVES), "ORYX__SPEED__REPLAY_USERS": str(SOLVES)}
    with fake_world(tmp_path, "busy", settings=settings) as made:
        yield made


@pytest.mark.parametrize("again", [True, False], ids=["after-another", "new-epoch"])
def test_a_start_announces_though_more_becomes_stale_than_is_solved(world: SpeedWorld, again: bool) -> None:
    epoch = world.publish("g1", BASE, ITEMS, {})
    world.send(*(Interaction("hot", f"new{number}", 1.0) for number in range(NEW)))
    layer = world.start()
    if again:
        world.settle(layer, epoch)
        layer = world.start()
    steps = 0
    while not (layer.runs and layer.runs[0].phase is Phase.FOLLOW):
        world.send(Interaction("hot", "p", 1.0))
        layer.step(0.01)
        steps += 1
        assert steps < 10 * NEW, "for ever"
    assert layer.runs[0].announced == layer.runs[0].positions
    assert layer.runs[0].fold.stale > SOLVES, "of what has come in meanwhile"
    world.settle(layer, epoch)
    reader = layer.runs[0].fold.state
    assert all(reader.item_vector(reader.items.find(f"new{number}")) is not None for number in range(NEW))


def test_a_start_announces_though_more_users_come_in_a_step_than_it_solves(world: SpeedWorld) -> None:
    epoch = world.publish("g1", BASE, ITEMS, {})
    world.send(*(Interaction(f"user{number}", "p", 1.0) for number in range(NEW)))
    layer = world.start()
    steps = 0
    while not (layer.runs and layer.runs[0].phase is Phase.FOLLOW):
        steps += 1
        world.send(*(Interaction(f"user{steps}-{number}", "p", 1.0) for number in range(2 * SOLVES)))
        layer.step(0.01)
        assert steps < 10 * NEW, "for ever"
    world.settle(layer, epoch)
