"""Who lets go of partitions hears what was said of their items; what he has said himself is none of that."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from oryx_py.events import Interaction
from oryx_py.messages import ItemVector, UserVector, decode, partition_of
from oryx_py.testing.fake_group import FakeMembership
from speed_layer.group_member import MemberConsumer
from speed_layer.layer import SpeedLayer
from speed_layer.sharing import listener
from speed_layer.sharing.claiming import Part, claim
from tests.support.shared_speed import BASE, ITEMS, PARTITIONS, SharedWorld

CHANGES = 6
NEW = next(name for name in (f"new{n}" for n in range(100)) if partition_of(name, PARTITIONS) == 0)
FOLLOWER = next(name for name in (f"u{n}" for n in range(100)) if partition_of(name, PARTITIONS) == 1)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[SharedWorld]:
    made = SharedWorld(tmp_path)
    yield made
    made.close()


def test_a_vector_that_it_has_sent_long_ago_does_not_come_back(
    world: SharedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    epoch = world.publish("g1", BASE, ITEMS, {})
    layer = _owner_of_all(world)
    world.settle(layer, epoch)
    world.send(Interaction(FOLLOWER, NEW, 1.0))
    for change in range(CHANGES):
        world.send(Interaction("a", NEW, 1.0 + change), Interaction("b", NEW, float(CHANGES - change)))
        world.settle(layer, epoch)
    state = layer.runs[0].fold.state
    vector = _vector(layer)
    begin = world.admin.end_offsets(world.settings.update.topic)[0]
    monkeypatch.setattr(listener, "_MAX_RECORDS", 1)
    layer.release({0})
    for _ in range(begin + PARTITIONS):
        layer.step(0.0)
        assert np.array_equal(_vector(layer), vector)
    world.producer.flush(5)
    told = [decode(r.key, r.value, r.headers) for r in world.read(world.settings.update.topic) if r.offset >= begin]
    assert not any(isinstance(update, UserVector | ItemVector) for update in told)
    # The next owner's word counts as ever.
    assert layer._term is not None
    moved = ItemVector(NEW, np.ones_like(vector), (), epoch, 1, layer._term + 1)
    peers = layer.runs[0].fold.peers  # type: ignore[attr-defined]
    peers.hear_item(moved, 0)
    assert np.array_equal(_vector(layer), moved.vector)
    assert state.users.find(FOLLOWER) in peers._levels.stale_users


def _vector(layer: SpeedLayer) -> NDArray[np.float32]:
    state = layer.runs[0].fold.state
    found = state.item_vector(state.items.find(NEW))
    assert found is not None
    return found.copy()


def _owner_of_all(world: SharedWorld) -> SpeedLayer:
    membership = FakeMembership(world.group, "a")
    topics, everything = world.settings, frozenset(range(PARTITIONS))

    def outsider() -> MemberConsumer:
        return MemberConsumer(world.new_consumer(topics.speed.group_id), membership)

    ownership = claim(
        lambda: world.new_consumer(topics.speed.group_id),
        world.admin,
        topics.items.topic,
        topics.update.topic,
        everything,
        membership,
    )
    return world.put_together(stopping=lambda: False, part=Part(everything, ownership, outsider))
