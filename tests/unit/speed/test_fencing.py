"""A process that was replaced and does not know it: what it goes on sending changes nothing."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from oryx_py.errors import LogGap, Replaced
from oryx_py.events import Interaction
from oryx_py.messages import ItemVector, Progress, Update, UserGone, UserVector, decode, encode
from oryx_py.model.state.model_state import ModelState
from oryx_py.ports import Consumer
from oryx_py.testing.fake_log import FakeConsumer, FakeLog
from tests.support.answers import assert_state
from tests.support.generations import Pairs
from tests.support.speed import SpeedWorld, fake_world

ITEMS = ["p", "q", "r"]
BASE: Pairs = {"a": {"p": 1.0, "q": 2.0}, "b": {"r": 1.0}}


@pytest.fixture
def log() -> FakeLog:
    return FakeLog()


@pytest.fixture
def world(tmp_path: Path, log: FakeLog) -> Iterator[SpeedWorld]:
    with fake_world(tmp_path, "fenced", log=log) as made:
        yield made


def test_a_former_owner_that_has_read_further_hides_nothing(world: SpeedWorld) -> None:
    """It deletes what its successor has not come to yet: without a fence that would hide what lies between."""
    epoch = world.publish("g1", BASE, ITEMS, {0: 0, 1: 0})
    former = world.start()
    world.settle(former, epoch)
    owner = world.start()
    world.settle(owner, epoch)
    world.send(Interaction("a", "new", 3.0), Interaction("a", "r", 1.0))
    # The owner has read no more than this when the other wakes up, reads on, and sends and announces all of it.
    world.settle(owner, epoch)
    world.send(Interaction("a", "q", 5.0))
    world.send(Interaction("a", "p", None))
    world.settle(former, epoch)
    sent = [decode(r.key, r.value, r.headers) for r in world.read(world.settings.update.topic)]
    assert [update.term for update in sent if isinstance(update, Progress)][-1] == former._term
    state = world.reader("g1", epoch)
    assert state.user_input(state.users.find("a")) is not None
    ends = world.admin.end_offsets(world.settings.input.topic)
    assert any(state.progress()[p] < end for p, end in ends.items()), "a former owner's PROGRESS was heard"
    world.settle(owner, epoch)
    assert_state(world, "g1", BASE, world.reader("g1", epoch))


def test_who_says_no_term_is_heard_after_an_owner_as_ever(world: SpeedWorld) -> None:
    """A speed layer from before there were terms, or another program with a Kafka client."""
    epoch = world.publish("g1", BASE, ITEMS, {0: 0, 1: 0})
    world.send(Interaction("a", "new", 3.0))
    world.settle(world.start(), epoch)
    state = world.reader("g1", epoch)
    input_ = max(world.admin.end_offsets(world.settings.input.topic).values()) + 10
    vector = np.ones(state.generation.manifest.features, np.float32)
    told: list[Update] = [
        UserVector("a", vector, ("w",), (2.0,), epoch, input_),
        ItemVector("w", vector, (), epoch),
        UserGone("b", ("r",), epoch, input_),
        Progress({0: input_, 1: input_}, {0: True, 1: True}, epoch),
    ]
    for message in map(encode, told):
        assert "term" not in dict(message.headers)
        assert state.apply(decode(message.key, message.value, message.headers))
    assert np.array_equal(state.user_vector(state.users.find("a")), vector)
    assert np.array_equal(state.item_vector(state.items.find("w")), vector)
    assert state.progress() == {0: input_, 1: input_}


def test_each_owner_claims_a_higher_term_and_signs_all_that_it_sends(world: SpeedWorld) -> None:
    epoch = world.publish("g1", BASE, ITEMS, {0: 0, 1: 0})
    terms: list[int | None] = []
    for number in range(3):
        layer = world.start()
        begin = world.admin.end_offsets(world.settings.update.topic)[0]
        world.send(Interaction("a", f"i{number}", 1.0))
        world.settle(layer, epoch)
        sent = [r for r in world.read(world.settings.update.topic) if r.offset >= begin]
        assert {dict(record.headers).get("term") for record in sent} == {b"%d" % layer._term}  # type: ignore[str-bytes-safe]
        terms.append(layer._term)
        layer.close()
    assert terms == sorted(set(terms))


def test_who_was_replaced_notices_and_ends(world: SpeedWorld) -> None:
    """Nobody hears it any more, so that it would work in vain for ever."""
    world.publish("g1", BASE, ITEMS, {0: 0, 1: 0})
    former = world.start()
    former.step(0.0)
    owner = world.start()
    for layer in (former, owner):
        layer._limits = replace(layer._limits, owner_check_s=0.0)
    with pytest.raises(Replaced, match="has taken over"):
        former.step(0.0)
    owner.step(0.0)


def test_a_group_that_was_forgotten_gives_no_lower_term(world: SpeedWorld, log: FakeLog) -> None:
    epoch = world.publish("g1", BASE, ITEMS, {0: 0, 1: 0})
    first = world.start()
    world.settle(first, epoch)
    log.groups.clear()
    assert world.start()._term > first._term  # type: ignore[operator]


def test_what_another_has_gone_through_and_was_trimmed_is_not_looked_for(world: SpeedWorld, log: FakeLog) -> None:
    """Before the first epoch, when dead letters alone are looked for."""
    topic, group = world.settings.input.topic, world.settings.speed.group_id
    layer = world.start()
    for _ in range(3):
        world.send_raw(b"")
    FakeConsumer(log, group).commit({(topic, 0): 2})
    world.admin.trim(topic, {0: 2})
    world.run(layer, lambda: layer._dead_letters.positions[0] == 3)
    assert [record.key for record in world.read(world.settings.dead_letter_topic)] == [b"0:2"]


def test_a_log_that_has_lost_what_nobody_has_gone_through_stops_the_layer(world: SpeedWorld) -> None:
    layer = world.start()
    world.send_raw(b"")
    world.admin.trim(world.settings.input.topic, {0: 1})
    with pytest.raises(LogGap):
        world.run(layer, lambda: False)


def test_what_a_former_owner_said_of_an_epoch_that_came_since_is_taken_back(world: SpeedWorld) -> None:
    """The epoch's readers begin above the fence that was raised when it was replaced, and hear it until the next."""
    former = world.start()
    world.settle(former, world.publish("g1", BASE, ITEMS, {0: 0, 1: 0}))
    owner = world.start()
    world.send(Interaction("a", "new", 3.0))
    start = world.admin.end_offsets(world.settings.update.topic)
    epoch = world.publish("g2", BASE, ITEMS, {0: 0, 1: 0}, seed=1)
    world.settle(former, epoch)
    assert _has(world.reader("g2", epoch, start), "new")
    world.send(Interaction("a", "new", None))
    world.settle(owner, epoch)
    state = world.reader("g2", epoch, start)
    assert not _has(state, "new")
    assert_state(world, "g2", BASE, state)


def test_what_a_former_owner_said_of_an_epoch_behind_the_fence_counts_as_said_by_nobody(world: SpeedWorld) -> None:
    """Where the first epoch's ``from`` was looked up just before the owner was started: its fence comes first then."""
    former = world.start()
    start = world.admin.end_offsets(world.settings.update.topic)
    owner = world.start()
    epoch = world.publish("g1", BASE, ITEMS, {0: 0, 1: 0}, start=start)
    world.send(Interaction("a", "p", None))
    world.settle(former, epoch)
    assert "p" in _known(world.reader("g1", epoch, start), "a"), "the former owner was heard"
    world.settle(owner, epoch)
    state = world.reader("g1", epoch, start)
    assert "p" not in _known(state, "a")
    assert_state(world, "g1", BASE, state)


def test_whether_a_former_owner_spoke_is_looked_for_once_however_often_a_load_is_tried(world: SpeedWorld) -> None:
    """While a generation cannot be had, what is said of the one before grows for hours."""
    made, new_consumer = list[str | None](), world.new_consumer

    def counted(group: str | None) -> Consumer:
        made.append(group)
        return new_consumer(group)

    world.new_consumer = counted
    layer = world.start()
    world.new_consumer = new_consumer
    world.settle(layer, world.publish("g1", BASE, ITEMS, {0: 0, 1: 0}))
    layer._next_epoch._limits = replace(layer._limits, load_retry_s=0.0, registry_poll_s=0.0)
    before, epoch = len(made), world.begin("not-there")
    world.run(layer, lambda: sum(progress.epoch == epoch for progress in world.progress()) >= 3)
    assert layer.trouble is not None
    assert len(made) == before + 1


def _has(state: ModelState, item: str) -> bool:
    return state.item_vector(state.items.find(item)) is not None


def _known(state: ModelState, user: str) -> list[str]:
    return state.items.ids(state.history(state.users.find(user))[0])
