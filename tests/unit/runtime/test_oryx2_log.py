"""Models are found in the update topic, wherever they lie, and what belongs to each is told from the rest."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oryx_py.adapters.clock import SystemClock
from oryx_py.errors import BadMessage, BrokerUnavailable
from oryx_py.ports import Outgoing, Record, TopicSpec
from oryx_py.runtime import oryx2_log
from oryx_py.runtime.oryx2_log import ModelMessage, Oryx2Log, Oryx2Reader
from oryx_py.testing.fake_log import FakeAdmin, FakeConsumer, FakeLog
from tests.support.oryx2 import up

EPOCH = (("epoch", b"7"),)


class Ticking:
    """A clock of which each look is a millisecond later, so that all records have an order."""

    def __init__(self):
        self._now = 1_000

    def now_ms(self):
        self._now += 1
        return self._now

    def monotonic(self):
        return SystemClock().monotonic()


class World:
    def __init__(self, partitions=1):
        self.log = FakeLog(Ticking())
        self.admin = FakeAdmin(self.log)
        self.admin.create(TopicSpec("up", partitions, 1, {}))
        self.topic = Oryx2Log("up", self.admin, lambda: FakeConsumer(self.log), SystemClock())

    def send(self, key, value=b"[]", partition=0, headers=()):
        return self.log.append(Outgoing("up", value, key, headers, partition))

    def newest(self):
        return self.topic.newest(self.admin.start_offsets("up"), self.admin.end_offsets("up"))


def place(message):
    return None if message is None else (message.partition, message.offset)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(["UP", "UP", "UP", "MODEL", "MODEL-REF"]), st.integers(0, 2)), max_size=40))
def test_the_newest_is_found_by_blocks_of_any_size(sent):
    world, last = World(3), None
    for key, partition in sent:
        where = world.send(key.encode(), partition=partition)
        last = where if key != "UP" else last
    for block in (1, 3, 1000):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(oryx2_log, "_FIRST_BLOCK", block)
            assert place(world.newest()) == last


def test_models_of_ours_and_keys_of_others_are_none():
    world = World()
    for key, headers in ((b"MODEL-REF", EPOCH), (b"MODEL", EPOCH), (b"model", ()), (None, ()), (b"PROGRESS", ())):
        world.send(key, headers=headers)
    assert world.newest() is None


def test_it_is_looked_for_no_further_back_than_it_is():
    world = World(2)
    for _ in range(3000):
        world.send(b"UP")
    world.send(b"MODEL", partition=1)
    world.send(b"UP")
    polled = []

    class Consumer(FakeConsumer):
        def poll(self, max_records, timeout_s):
            events = super().poll(max_records, timeout_s)
            polled.extend(event for event in events if isinstance(event, Record))
            return events

    world.topic = Oryx2Log("up", world.admin, lambda: Consumer(world.log), SystemClock())
    assert place(world.newest()) == (1, 0)
    assert len(polled) <= 1002


def test_a_trimmed_topic_is_looked_through_from_where_it_begins():
    world = World()
    world.send(b"MODEL")
    for _ in range(10):
        world.send(b"UP")
    world.log.trim("up", {0: 5})
    assert world.newest() is None
    world.send(b"MODEL")
    assert place(world.newest()) == (0, 11)


def test_a_broker_that_is_away_is_an_error_that_passes():
    world = World()
    world.send(b"MODEL")
    with world.log.outage(), pytest.raises(BrokerUnavailable):
        world.newest()


def test_the_value_is_read_again_and_must_be_a_models():
    world = World()
    world.send(b"UP")
    world.send(b"MODEL", b"<PMML/>")
    world.send(b"MODEL", None)
    assert world.topic.value(ModelMessage(0, 1, 0)) == (b"MODEL", b"<PMML/>")
    for offset in (0, 2):
        with pytest.raises(BadMessage, match=rf"up\[0\]@{offset} is no MODEL"):
            world.topic.value(ModelMessage(0, offset, 0))


def test_what_belongs_to_a_model_begins_after_it_and_in_other_partitions_at_its_time():
    world = World(2)
    world.send(b"UP", partition=1)
    world.send(b"MODEL", partition=0)
    world.send(b"UP", partition=1)
    assert world.topic.start_of(world.newest()) == {0: 1, 1: 1}


def record(offset, key=b"UP", partition=0, at=0, headers=(), name="ann"):
    return Record("up", partition, offset, at, key, up("X", name, [1, 2]), headers)


def test_updates_up_to_the_next_model_are_its_own():
    reader = Oryx2Reader(7, ModelMessage(0, 10, 100))
    assert reader.read(record(11)).epoch == 7
    assert not reader.is_model(record(10, b"MODEL"))
    assert not reader.is_model(record(12, b"MODEL-REF", headers=EPOCH))
    assert reader.is_model(record(15, b"MODEL-REF", at=200))
    assert reader.read(record(14)) is not None
    assert reader.read(record(16)) is None
    assert reader.read(record(3, partition=1, at=199)) is not None
    assert reader.read(record(4, partition=1, at=200)) is None


def test_a_number_of_ours_decides_wherever_the_message_is():
    reader = Oryx2Reader(7, ModelMessage(0, 10, 100), ModelMessage(0, 15, 200))
    assert reader.read(record(11, headers=(("epoch", b"8"),))) is None
    assert reader.read(record(99, headers=EPOCH)).epoch == 7


def test_of_two_later_models_the_earlier_one_counts():
    reader = Oryx2Reader(7, ModelMessage(0, 10, 100), ModelMessage(0, 20, 300))
    assert reader.is_model(record(15, b"MODEL", at=200))
    assert reader.is_model(record(20, b"MODEL", at=300))
    assert reader.read(record(17)) is None


def test_what_cannot_be_read_says_why():
    with pytest.raises(BadMessage):
        Oryx2Reader(7, ModelMessage(0, 10, 100)).read(Record("up", 0, 11, 0, b"UP", b"?", ()))
    with pytest.raises(BadMessage, match="unknown key"):
        Oryx2Reader(7, ModelMessage(0, 10, 100)).read(Record("up", 0, 11, 0, b"KEY", b"?", ()))
