"""Who has read each update partition as far as it covers an item's forget has the item no more, whoever owned it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from oryx_py.messages import Progress, decode
from oryx_py.model.generations.generation import Generation
from oryx_py.model.state.model_state import ModelState
from tests.support.shared_speed import BASE, ITEMS, PARTITIONS, SharedWorld, shared

UPDATES = 3


@pytest.fixture
def world(tmp_path: Path) -> Iterator[SharedWorld]:
    made = SharedWorld(tmp_path, update_partitions=UPDATES)
    yield made
    made.close()


def forget(world: SharedWorld, item: str) -> dict[int, int]:
    """Send what `DELETE /item` sends; return the places by partition."""
    for partition in range(PARTITIONS):
        world.send_raw(f",{item},".encode(), partition)
    return {p: end - 1 for p, end in world.admin.end_offsets(world.settings.input.topic).items()}


def when_covered(world: SharedWorld, epoch: int, offsets: dict[int, int]) -> ModelState:
    """Return the state of a reader who read each update partition only as far as the offsets are covered there."""
    state = ModelState(Generation.open(world.store.local("g1")), epoch, UPDATES)
    covered = set[int]()
    for record in world.read(world.settings.update.topic, UPDATES):
        if record.partition in covered:
            continue
        update = decode(record.key, record.value, record.headers)
        state.apply(update, record.partition)
        told = state.progress(record.partition)
        if isinstance(update, Progress) and all(told[p] > offset for p, offset in offsets.items()):
            covered.add(record.partition)
    assert covered == set(range(UPDATES))
    return state


@pytest.mark.parametrize("names", [("one",), ("one", "two", "three")])
def test_the_items_vector_is_gone_when_every_update_partition_covers_it(
    world: SharedWorld, names: tuple[str, ...]
) -> None:
    epoch = world.publish("g1", BASE, ITEMS, {})
    shared(world, epoch, *names)
    forget(world, "p")
    offsets = forget(world, "s")
    world.rest(epoch)
    state = when_covered(world, epoch, offsets)
    assert state.covers(None, offsets)
    for item in map(state.items.find, ("p", "s")):
        assert state.item_vector(item) is None
        assert not any(state.knows(state.users.find(user), item) for user in BASE)
