"""Serving begins with a checkpoint of the speed layer and the updates after it."""

import threading

import numpy as np
import pytest

from oryx_py.messages import Progress, UserVector
from serving_layer.following.model_manager import ModelManager
from tests.support.polling import until
from tests.support.publishing import ALL_LIVE, UPDATES, Publisher


@pytest.fixture
def publisher(tmp_path):
    return Publisher(tmp_path)


@pytest.fixture
async def start():
    """Start managers, and close them at the end."""
    managers: list[ModelManager] = []

    def start(manager):
        manager.start()
        managers.append(manager)
        return manager

    yield start
    for manager in managers:
        await manager.close()
    assert not [t.name for t in threading.enumerate() if t.name.startswith(("follow-", "load", "look"))]


async def serving(manager, epoch):
    await until(lambda: manager.served() is not None and manager.served().epoch == epoch)


def user(name, value, epoch, offset):
    return UserVector(
        name, np.array([value, 0], np.float32), items=("tea",), strengths=(1.0,), epoch=epoch, input=offset
    )


def vector(manager, name):
    state = manager.served().state
    found = state.user_vector(state.users.find(name))
    return None if found is None else found.tolist()


async def test_it_begins_where_the_checkpoint_ends(publisher, start):
    """What lies before it in the update topic is not needed; reads that wait for a write know what is in it."""
    epoch = publisher.publish("g1")
    told = [user("ann", 1, epoch, 10), user("new", 2, epoch, 11)]
    for update in told:
        publisher.send(update)
    publisher.send(Progress({0: 12, 1: 20}, ALL_LIVE, epoch))
    publisher.checkpoint(epoch, "1", told, {0: 12, 1: 20})
    publisher.admin.trim(UPDATES, publisher.admin.end_offsets(UPDATES))
    publisher.send(user("ann", 3, epoch, 12))
    manager = start(publisher.manager())
    await serving(manager, epoch)
    assert (vector(manager, "ann"), vector(manager, "new")) == ([3, 0], [2, 0])
    assert manager.readiness().ready
    assert manager.readiness().input == {0: 12, 1: 20}
    state = manager.served().state
    assert state.knows(state.users.find("new"), state.items.find("tea"))
    assert not state.covers("ann", {0: 12})
    publisher.send(Progress({0: 13, 1: 20}, ALL_LIVE, epoch))
    await until(lambda: state.covers("ann", {0: 12}))


async def test_an_update_older_than_the_checkpoint_changes_nothing(publisher, start):
    """Of a writer that was late: it stands after the checkpoint in the topic."""
    epoch = publisher.publish("g1")
    publisher.checkpoint(epoch, "1", [user("ann", 5, epoch, 15)], {0: 16, 1: 20})
    publisher.send(user("ann", 4, epoch, 14))
    publisher.send(user("bob", 1, epoch, 16))
    manager = start(publisher.manager())
    await serving(manager, epoch)
    await until(lambda: vector(manager, "bob") == [1, 0])
    assert vector(manager, "ann") == [5, 0]


async def test_a_live_epoch_is_known_from_its_checkpoint(publisher, start):
    """Where the topic no longer has what announced it; the newer epoch is not live yet."""
    first = publisher.publish("g1")
    publisher.checkpoint(first, "1", [user("ann", 5, first, 15)], {0: 16, 1: 20})
    publisher.admin.trim(UPDATES, publisher.admin.end_offsets(UPDATES))
    second = publisher.publish("g2")
    manager = start(publisher.manager())
    await serving(manager, first)
    assert vector(manager, "ann") == [5, 0]
    publisher.go_live(second, 16, 20)
    await serving(manager, second)
    assert vector(manager, "ann") != [5, 0]


@pytest.mark.parametrize("file", ["manifest.json", "users.vectors.npy"])
async def test_a_damaged_one_is_left_out(publisher, start, file):
    """Then everything is read from the epoch's beginning."""
    epoch = publisher.publish("g1")
    told = [user("ann", 1, epoch, 10)]
    publisher.send(told[0])
    publisher.checkpoint(epoch, "1", told, {0: 11, 1: 20})
    folder = publisher.checkpoints.local(publisher.checkpoints.generations()[0])
    content = bytearray((folder / file).read_bytes())
    content[-4] ^= 255
    (folder / file).write_bytes(content)
    manager = start(publisher.manager())
    await serving(manager, epoch)
    assert vector(manager, "ann") == [1, 0]
