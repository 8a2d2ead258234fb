"""What is announced of a forgotten item is true: the removals of its pairs were said before, in however many steps."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from oryx_py.events import Interaction
from oryx_py.messages import Progress, UserGone, UserVector, decode
from speed_layer.layer import SpeedLayer
from tests.support.answers import assert_state
from tests.support.generations import Pairs
from tests.support.speed import SpeedWorld, fake_world

BOUND, ITEMS = 2, ["p", "q"]
BASE: Pairs = {f"u{number}": {"p": 1.0, "q": 1.0} for number in range(12)}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[SpeedWorld]:
    with fake_world(tmp_path, "removals", settings={"ORYX__SPEED__ITEM_STATES": str(BOUND)}) as made:
        yield made


def forgotten(world: SpeedWorld) -> tuple[int, SpeedLayer]:
    epoch = world.publish("g1", BASE, ITEMS, {})
    layer = world.start()
    world.settle(layer, epoch)
    for partition in range(world.partitions):
        world.send_raw(b",p,", partition)
    return epoch, layer


def test_progress_covers_a_forget_when_all_removals_are_before_it(world: SpeedWorld) -> None:
    epoch, layer = forgotten(world)
    world.send(Interaction("u3", "q", 2.0), Interaction("new", "q", 1.0))
    world.settle(layer, epoch)
    updates = [decode(r.key, r.value, r.headers) for r in world.read(world.settings.update.topic)]
    gone = [place for place, update in enumerate(updates) if isinstance(update, UserGone)]
    covers = [
        place
        for place, update in enumerate(updates)
        if isinstance(update, Progress) and any(offset > 0 for offset in update.input.values())
    ]
    others = [place for place, update in enumerate(updates) if isinstance(update, UserVector) and update.user == "new"]
    assert {updates[place].user for place in gone} == set(BASE)
    assert max(gone) < min(covers)
    assert min(others) < max(gone), "who has nothing to do with it does not wait for them"
    assert_state(world, "g1", BASE, world.reader("g1", epoch))


def test_who_dies_among_them_has_announced_nothing_and_the_next_one_says_them_all(world: SpeedWorld) -> None:
    epoch, layer = forgotten(world)
    world.run(layer, lambda: bool(layer.runs[0].fold.unsaid))
    assert layer.runs[0].fold.unsaid == len(BASE) - BOUND
    assert not layer.runs[0].at_rest
    assert not any(layer.runs[0].announced.values())
    again = world.start()
    world.settle(again, epoch)
    assert_state(world, "g1", BASE, world.reader("g1", epoch))
