"""How far the layer is behind: what it says while more comes than it folds, and what many interactions at once cost."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from oryx_py.events import Interaction
from oryx_py.ports import Record
from speed_layer.layer import SpeedLayer
from speed_layer.telemetry.lag import Lag, LagWatch
from speed_layer.telemetry.metrics import Metrics
from tests.simulation.clock import SimClock
from tests.support.generations import Pairs
from tests.support.speed import SpeedWorld, fake_world

BASE: Pairs = {f"u{n}": {"p": 1.0, "q": 2.0} for n in range(10)}
BOUND = 200


@pytest.fixture
def world(tmp_path: Path) -> Iterator[SpeedWorld]:
    settings = {"ORYX__SPEED__MAX_BATCH_RECORDS": str(BOUND)}
    with fake_world(tmp_path, "lagging", partitions=1, settings=settings) as made:
        yield made


def started(world: SpeedWorld) -> SpeedLayer:
    world.publish("g1", BASE, ["p", "q", "r"], {})
    layer = world.start()
    world.settle(layer, 1)
    return layer


def some(count: int) -> list[Interaction]:
    return [Interaction(user=f"u{n % 10}", item="r", strength=1.0) for n in range(count)]


def value(world: SpeedWorld, name: str, labels: Mapping[str, str] | None = None) -> float:
    found = world.counted.get_sample_value(name, dict(labels or {}))
    assert found is not None
    return found


def test_micro_batches_grow_with_what_waits_up_to_their_bound(world: SpeedWorld) -> None:
    layer = started(world)
    sizes = []
    for waiting in (1, 7, 60, BOUND, 3 * BOUND):
        world.send(*some(waiting))
        layer.step(0.0)
        sizes.append(value(world, "oryx_speed_last_batch_records"))
    assert sizes == [1, 7, 60, BOUND, BOUND]


def test_a_user_is_solved_once_for_all_that_a_micro_batch_has_of_him(world: SpeedWorld) -> None:
    """What a lag costs falls by itself: 200 interactions of 10 users are 10 updates, not 200."""
    layer = started(world)
    sent = []
    for waiting in (1, BOUND):
        before = value(world, "oryx_speed_updates_total")
        world.send(*some(waiting))
        layer.step(0.0)
        sent.append(value(world, "oryx_speed_updates_total") - before)
    assert sent == [1, 10]


def test_the_lag_is_what_is_not_acknowledged_and_is_nothing_in_the_end(world: SpeedWorld) -> None:
    layer = started(world)
    layer._lag._every_s = 0.0
    world.send(*some(3 * BOUND))
    found = []
    for _ in range(4):
        layer.step(0.0)
        found.append(value(world, "oryx_speed_lag_records", {"partition": "0"}))
        assert (value(world, "oryx_speed_lag_seconds") > 0) == (found[-1] > 0)
    assert found == [2 * BOUND, BOUND, 0, 0]


def test_the_budgets_of_the_settings_bound_a_micro_batch(world: SpeedWorld) -> None:
    """Forty new items of one user are stale when he moves: three vectors a micro-batch, whatever waits."""
    settings = world.settings
    world.settings = replace(settings, speed=replace(settings.speed, stale_solves=3))
    layer = started(world)
    world.send(*(Interaction(user="u1", item=f"new{n}", strength=1.0) for n in range(40)))
    world.settle(layer, 1)
    world.run(layer, lambda: not layer.runs[0].busy)
    world.send(Interaction(user="u1", item="p", strength=1.0))
    before = value(world, "oryx_speed_updates_total")
    layer.step(0.0)
    assert value(world, "oryx_speed_updates_total") - before == 1 + 3


def record(offset: int, at_ms: int) -> Record:
    return Record("in", 0, offset, at_ms, None, b"")


def test_the_age_grows_while_a_micro_batch_is_held_up() -> None:
    """As when Kafka acknowledges nothing: nobody looks at anything then, and it is said all the same."""
    registry, clock = CollectorRegistry(), SimClock()
    watch = LagWatch(Metrics(registry).gauges.layer(), clock)
    held = [record(0, clock.now_ms() - 1_000), record(1, clock.now_ms() - 100)]
    watch.begin(held)
    assert registry.get_sample_value("oryx_speed_lag_seconds") == 1.0
    clock.sleep(5.0)
    assert registry.get_sample_value("oryx_speed_lag_seconds") == 6.0
    watch.done(held, {0: 2}, lambda: {0: 2})
    assert registry.get_sample_value("oryx_speed_lag_seconds") == 0.0


def test_a_partition_that_is_anothers_now_has_no_lag_here() -> None:
    registry, clock = CollectorRegistry(), SimClock()
    watch = LagWatch(Metrics(registry).gauges.layer(), clock, every_s=0.0)
    watch.done([], {0: 2, 1: 2}, lambda: {0: 5, 1: 9})
    watch.done([], {0: 2}, lambda: {0: 5, 1: 9})
    assert registry.get_sample_value("oryx_speed_lag_records", {"partition": "0"}) == 3
    assert registry.get_sample_value("oryx_speed_lag_records", {"partition": "1"}) is None


def test_it_is_not_looked_at_more_often_than_is_worth_it() -> None:
    clock, asked = SimClock(), list[int]()
    watch = LagWatch(Metrics(CollectorRegistry()).gauges.layer(), clock, every_s=0.25)

    def ends() -> dict[int, int]:
        asked.append(clock.now_ms() - SimClock.START_MS)
        return {0: 5}

    for _ in range(10):
        watch.done([], {0: 2}, ends)
        clock.sleep(0.1)
    assert asked == [0, 300, 600, 900]


@given(
    gaps=st.lists(st.integers(0, 50), min_size=1, max_size=30),
    steps=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 5)), max_size=20),
)
def test_the_age_is_never_less_than_that_of_the_oldest_record_that_waits(
    gaps: list[int], steps: list[tuple[int, int]]
) -> None:
    """And exceeds it by no more than the time between two records, or two looks, once something was done."""
    times = [1_000 + sum(gaps[: n + 1]) for n in range(len(gaps))]
    lag, now, done = Lag(), 1_000, 0
    lag.look({0: 0}, {0: 0}, {}, now)
    looked = [now]
    for passed, folded in steps:
        now += passed
        end = sum(time <= now for time in times)
        done = min(end, done + folded)
        lag.look({0: done}, {0: end}, {0: times[done - 1]} if done else {}, now)
        found = lag.seconds(now)
        assert lag.records == {0: end - done}
        if done == end:
            assert found == 0
        else:
            age = (now - times[done]) / 1000
            longest = max(*gaps, *(b - a for a, b in zip(looked, [*looked[1:], now], strict=True)))
            assert age <= found <= age + longest / 1000 + 1e-9
        looked.append(now)


def test_what_was_there_before_the_first_look_is_as_old_as_the_look() -> None:
    lag = Lag()
    lag.look({0: 3}, {0: 9}, {}, 5_000)
    lag.look({0: 3}, {0: 9}, {}, 7_000)
    assert lag.seconds(8_000) == 3.0
    lag.look({0: 5}, {0: 9}, {0: 1_000}, 8_000)
    assert lag.seconds(8_000) == 7.0, "what is done tells how old that is which is not"
