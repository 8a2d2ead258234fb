"""Positions of the consumer group: Kafka drops what nobody commits for a week, also where nothing came in."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from oryx_py.adapters.clock import SystemClock
from oryx_py.adapters.kafka.client import ANSWER_S
from oryx_py.errors import BrokerUnavailable, ConfigError
from oryx_py.ports import Outgoing, Partition, TopicSpec
from oryx_py.testing.fake_log import FakeAdmin, FakeConsumer, FakeLog, FakeProducer
from speed_layer.publishing.dead_letters import DeadLetters
from tests.support.oryx2_speed import Oryx2World, random_vectors
from tests.support.speed import fake_world
from tests.support.ticking import Ticking

DAY_S = 86_400
WEEK_S = 7 * DAY_S


class Forgetful(FakeConsumer):
    """Of a broker that drops a position a week after its last commit, as it does for a group without members."""

    def __init__(self, log: FakeLog, group_id: str | None, clock: Ticking, told: dict[Partition, float]) -> None:
        super().__init__(log, group_id)
        self._clock, self._told = clock, told
        self.commits: list[dict[Partition, int]] = []
        self.away = False

    def commit(self, positions: Mapping[Partition, int]) -> None:
        if self.away:
            raise BrokerUnavailable("away")
        super().commit(positions)
        self.commits.append(dict(positions))
        self._told.update(dict.fromkeys(positions, self._clock.now))

    def expired(self) -> list[int]:
        return sorted(p for (_, p), at in self._told.items() if self._clock.now - at >= WEEK_S)


@pytest.fixture
def log() -> FakeLog:
    log = FakeLog()
    log.create(TopicSpec("in", 2, 1, {}))
    for partition in range(2):
        log.append(Outgoing("in", b"a,p,1", None, (), partition))
    return log


def letters(consumer: FakeConsumer, clock: Ticking) -> DeadLetters:
    return DeadLetters(consumer, topic="in", start={0: 0, 1: 0}, dead_letter_topic="dead", clock=clock)


def test_an_idle_partitions_position_lives_as_long_as_the_layer(log: FakeLog) -> None:
    clock, told = Ticking(), dict[Partition, float]()
    consumer = Forgetful(log, "g", clock, told)
    dead = letters(consumer, clock)
    clock.now = 2
    dead.advance({0: 1, 1: 1})
    for day in range(1, 31):
        clock.now = day * DAY_S
        for second in range(3):
            clock.now += second
            dead.advance({0: 1 + day, 1: 1})
        assert not consumer.expired(), day
    assert log.groups["g"] == {("in", 0): 31, ("in", 1): 1}
    assert sum(("in", 1) in commit for commit in consumer.commits) <= 31, "once a day is enough"


def test_nor_do_restarts_in_less_than_a_day_let_it_go(log: FakeLog) -> None:
    clock, told = Ticking(), dict[Partition, float]()
    for start in range(30):
        clock.now = start * DAY_S / 2
        consumer = Forgetful(log, "g", clock, told)
        dead = letters(consumer, clock)
        dead.advance({0: 1, 1: 1})
        clock.now += 2
        dead.advance({0: 1, 1: 1})
        assert not consumer.expired(), start


def test_a_broker_that_is_away_when_it_is_due_is_asked_again(log: FakeLog) -> None:
    clock, told = Ticking(), dict[Partition, float]()
    consumer = Forgetful(log, "g", clock, told)
    dead = letters(consumer, clock)
    clock.now = 2
    dead.advance({0: 1, 1: 1})
    clock.now, consumer.away = DAY_S + 2, True
    dead.advance({0: 1, 1: 1})
    consumer.away = False
    clock.now += 2
    dead.advance({0: 1, 1: 1})
    assert told == {("in", 0): clock.now, ("in", 1): clock.now}


class Waiting(Forgetful):
    """Its group is on a broker that is away: whoever asks waits, and gets no answer."""

    def commit(self, positions: Mapping[Partition, int]) -> None:
        self._clock.now += ANSWER_S
        self.commits.append(dict(positions))
        raise BrokerUnavailable("no answer")


def test_while_the_group_is_not_to_be_had_most_of_the_time_is_for_folding(log: FakeLog) -> None:
    clock = Ticking()
    consumer = Waiting(log, "g", clock, {})
    dead = letters(consumer, clock)
    for step in range(3000):
        clock.now += 0.1
        dead.advance({0: step, 1: step})
    assert 5 <= len(consumer.commits) <= 3000 * 0.1 / ANSWER_S / 2


def test_so_it_is_with_looking_who_owns_the_input(tmp_path: Path) -> None:
    with fake_world(tmp_path, "owners") as world:
        world.settle(layer := world.start(), world.publish("g1", {"a": {"p": 1.0}}, ["p"], {}))
        asked = list[float]()

        def confirm() -> None:
            clock.now += ANSWER_S
            asked.append(clock.now)
            raise BrokerUnavailable("no answer")

        layer._confirm, clock = confirm, Ticking()
        layer._confirmed_at = layer._clock.monotonic()
        layer._clock, clock.now = clock, layer._confirmed_at
        for _ in range(300):
            clock.now += 1.0
            layer.step(0.0)
        assert 5 <= len(asked) <= 300 / ANSWER_S / 2


@pytest.mark.parametrize("with_a_model", [True, False])
def test_with_oryx_2s_models_too(tmp_path: Path, with_a_model: bool) -> None:
    """There an expired position would mean to begin at the end, past all that came in since."""
    log, clock, told = FakeLog(), Ticking(), dict[Partition, float]()
    consumers: list[Forgetful] = []
    clock.now = begin = SystemClock().monotonic()  # which the layer starts by

    def new_consumer(group: str | None) -> FakeConsumer:
        if group is None:
            return FakeConsumer(log)
        consumers.append(Forgetful(log, group, clock, told))
        return consumers[-1]

    world = Oryx2World(
        tmp_path, "kept", admin=FakeAdmin(log), producer=FakeProducer(log), new_consumer=new_consumer, partitions=2
    )
    if with_a_model:
        world.publish(random_vectors("ab", 1), random_vectors("pqr", 2))
    layer = world.start()
    if with_a_model:
        world.settle(layer)
    layer._clock = clock
    for day in range(1, 10):
        clock.now = begin + day * DAY_S + 1
        layer.step(0.0)
        assert not consumers[0].expired(), day
    layer.close()
    world.close()
    world.producer.close()


class Refused(FakeConsumer):
    """Of a group that others are members of, once `refuses`."""

    refuses = closed = False

    def commit(self, positions: Mapping[Partition, int]) -> None:
        if self.refuses:
            raise ConfigError("others are members of this group")
        super().commit(positions)

    def close(self) -> None:
        self.closed = True
        super().close()


def test_who_ends_while_others_have_the_group_ends_wholly(tmp_path: Path) -> None:
    """Its position is not stored; what it ends of is said, and its consumers are given back."""
    log = FakeLog()
    consumers: list[Refused] = []

    def new_consumer(group: str | None) -> FakeConsumer:
        consumers.append(Refused(log, group))
        return consumers[-1]

    with fake_world(tmp_path, "ending", log=log) as world:
        world.new_consumer = new_consumer
        world.send_raw(b"a,p,1")
        layer = world.start()
        layer.step(0.0)
        for consumer in consumers:
            consumer.refuses = True
        layer.close()
        assert consumers
        assert all(consumer.closed for consumer in consumers)
