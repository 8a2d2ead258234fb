"""Change of epoch where several processes share the input: what is served is kept up to date until the next is live."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from oryx_py.messages import partition_of
from oryx_py.ports import Consumer, Record
from speed_layer.epochs.run import EpochRun, Phase
from speed_layer.layer import SpeedLayer
from speed_layer.loading.epoch_loader import EpochLoader
from tests.support.answers import assert_state
from tests.support.shared_speed import BASE, ITEMS, PARTITIONS, SharedWorld, owned, shared, some

PATIENCE_S = 60.0


@pytest.fixture
def world(tmp_path: Path) -> Iterator[SharedWorld]:
    made = SharedWorld(tmp_path)
    yield made
    made.close()


def begun(world: SharedWorld) -> int:
    """Two processes follow an epoch, and notice every other at once."""
    epoch = world.publish("g1", BASE, ITEMS, {})
    shared(world, epoch, "one", "two")
    for name in world.processes:
        looks(world, name, 0.0)
    return epoch


def alone(world: SharedWorld, name: str, until: Callable[[], bool]) -> None:
    """Let one process do steps while the other does none."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        world.processes[name].step(0.001)
        if until():
            return
        assert time.monotonic() < deadline, [held(layer) for layer in world.processes[name].layers]


def held(layer: SpeedLayer) -> list[int]:
    return [run.started.epoch for run in layer.runs]


def run_of(layer: SpeedLayer, epoch: int) -> EpochRun | None:
    return next((run for run in layer.runs if run.started.epoch == epoch), None)


def has(world: SharedWorld, name: str, epoch: int) -> bool:
    return all(run_of(layer, epoch) is not None for layer in world.processes[name].layers)


def is_live(world: SharedWorld, name: str, epoch: int) -> bool:
    runs = [run_of(layer, epoch) for layer in world.processes[name].layers]
    return all(run is not None and run.is_live for run in runs)


def is_loaded(world: SharedWorld, name: str, epoch: int) -> bool:
    """Whether the epoch is loaded, whatever was done with it."""
    return all(
        layer._next_epoch._newest >= epoch and layer._next_epoch.loading is None
        for layer in world.processes[name].layers
    )


def follows(world: SharedWorld, name: str, epoch: int) -> bool:
    runs = [run_of(layer, epoch) for layer in world.processes[name].layers]
    return all(run is not None and run.phase is Phase.FOLLOW for run in runs)


def looks(world: SharedWorld, name: str, every_s: float) -> None:
    for layer in world.processes[name].layers:
        layer._next_epoch._limits = replace(layer._next_epoch._limits, registry_poll_s=every_s)


def theirs(world: SharedWorld, name: str) -> set[int]:
    """The input partitions of a process."""
    return {partition for layer in world.processes[name].layers for partition in layer.partitions}


def told(world: SharedWorld, name: str) -> Callable[[int], bool]:
    """Post something of one process's users; return what says whether an epoch has announced it."""
    layers, mine = world.processes[name].layers, theirs(world, name)
    world.send(*(each for each in some(5) if each.user and partition_of(each.user, PARTITIONS) in mine))
    end = world.admin.end_offsets(world.settings.input.topic)

    def announced(epoch: int) -> bool:
        runs = [run_of(layer, epoch) for layer in layers]
        return all(run is not None and all(o >= end[p] for p, o in run.announced.items()) for run in runs)

    return announced


def left_all_but(world: SharedWorld, epoch: int) -> bool:
    return all(held(layer) == [epoch] for layer in world.layers())


def test_what_is_served_is_kept_while_the_next_is_live_here_alone(world: SharedWorld) -> None:
    """The operator goes back from a generation that the other process is slow with, and both come to the end."""
    first = begun(world)
    second = world.publish("g2", BASE, ITEMS, {}, seed=1)
    alone(world, "one", lambda: is_live(world, "one", second))
    third = world.begin("g1")
    alone(world, "one", lambda: is_loaded(world, "one", third))
    announced = told(world, "one")
    alone(world, "one", lambda: announced(first))
    world.rounds(lambda: left_all_but(world, third))
    world.rest(third)
    assert_state(world, "g1", BASE, world.reader("g1", third))


def test_an_epoch_that_went_live_meanwhile_is_kept(world: SharedWorld) -> None:
    """Whoever announced it live for his part keeps it as long as somebody may announce the rest."""
    begun(world)
    second = world.publish("g2", BASE, ITEMS, {}, seed=1)
    alone(world, "two", lambda: is_loaded(world, "two", second))
    looks(world, "two", 1e9)
    alone(world, "one", lambda: is_live(world, "one", second))
    third = world.publish("g3", BASE, ITEMS, {}, seed=2)
    alone(world, "one", lambda: is_loaded(world, "one", third))
    alone(world, "two", lambda: is_live(world, "two", second))
    announced = told(world, "one")
    alone(world, "one", lambda: announced(second))
    looks(world, "two", 0.0)
    world.rounds(lambda: left_all_but(world, third))
    world.rest(third)
    assert_state(world, "g3", BASE, world.reader("g3", third))


def test_two_that_passed_over_each_others_epoch_do_not_wait_for_each_other(world: SharedWorld) -> None:
    """One follows the second generation and never saw the third, the other the third and never saw the second."""
    begun(world)
    looks(world, "two", 1e9)
    second = world.publish("g2", BASE, ITEMS, {}, seed=1)
    alone(world, "one", lambda: is_live(world, "one", second))
    looks(world, "one", 1e9)
    looks(world, "two", 0.0)
    third = world.publish("g3", BASE, ITEMS, {}, seed=2)
    alone(world, "two", lambda: is_live(world, "two", third))
    looks(world, "one", 0.0)
    fourth = world.publish("g4", BASE, ITEMS, {}, seed=3)
    world.rounds(lambda: left_all_but(world, fourth))
    world.rest(fourth)
    assert_state(world, "g4", BASE, world.reader("g4", fourth))


def test_one_that_is_not_live_here_makes_room_at_once(world: SharedWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was promised to nobody."""
    first = begun(world)
    second = world.publish("g2", BASE, ITEMS, {}, seed=1)
    caught_up = EpochRun.caught_up
    monkeypatch.setattr(  # there is much to replay
        EpochRun, "caught_up", lambda self, target: self.started.epoch != second and caught_up(self, target)
    )
    alone(world, "one", lambda: has(world, "one", second))
    third = world.publish("g3", BASE, ITEMS, {}, seed=2)
    alone(world, "one", lambda: all(held(layer) == [first, third] for layer in world.processes["one"].layers))
    world.rounds(lambda: left_all_but(world, third))
    world.rest(third)
    assert_state(world, "g3", BASE, world.reader("g3", third))


def between_epochs(world: SharedWorld) -> tuple[int, int, int]:
    """One process is live in two epochs, with a third loaded, and the other has never spoken; nothing is live."""
    for name in ("one", "two"):
        world.join(name)
    world.rounds(lambda: owned(world) == PARTITIONS)
    looks(world, "one", 0.0)
    looks(world, "two", 1e9)
    first = world.publish("g1", BASE, ITEMS, {})
    alone(world, "one", lambda: is_live(world, "one", first))
    second = world.publish("g2", BASE, ITEMS, {}, seed=1)
    alone(world, "one", lambda: is_live(world, "one", second))
    third = world.publish("g3", BASE, ITEMS, {}, seed=2)
    alone(world, "one", lambda: is_loaded(world, "one", third))
    return first, second, third


def begins_again(world: SharedWorld, name: str) -> None:
    """Kill a process and start it under its name, before the group has noticed."""
    del world.processes[name]
    world.join(name)
    alone(world, name, lambda: len(theirs(world, name)) == PARTITIONS // 2)


def slow(world: SharedWorld, monkeypatch: pytest.MonkeyPatch, name: str, epoch: int) -> set[int]:
    """Let a process have much to do in an epoch, until what is returned is cleared."""
    take, partitions = EpochRun.take, theirs(world, name)

    def taken(run: EpochRun, *how: Any) -> Any:
        return [] if run.started.epoch == epoch and partitions & run.positions.keys() else take(run, *how)

    monkeypatch.setattr(EpochRun, "take", taken)
    return partitions


def test_who_holds_an_epoch_that_is_not_live_yet_is_not_taken_to_have_passed_it_over(
    world: SharedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has more to do in the older one than in the newer; but makes the older live, too, which is served then."""
    first, second, third = between_epochs(world)
    busy = slow(world, monkeypatch, "two", second)
    begins_again(world, "two")
    alone(world, "two", lambda: follows(world, "two", third))
    for name in ("two", "one", "two", "one"):
        world.processes[name].step(0.0)
        world.producer.flush(30)
    assert {tuple(held(layer)) for layer in world.processes["two"].layers} == {(second, third)}
    assert {tuple(held(layer)) for layer in world.processes["one"].layers} == {(first, second)}
    busy.clear()
    alone(world, "two", lambda: is_live(world, "two", second))
    announced = told(world, "one")
    alone(world, "one", lambda: announced(second))
    world.rounds(lambda: left_all_but(world, third))
    world.rest(third)
    assert_state(world, "g3", BASE, world.reader("g3", third))


def test_an_epoch_that_was_passed_over_is_not_made_live_by_the_next_owner(
    world: SharedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others have left it, since nobody was to make it live everywhere any more."""
    first, second, third = between_epochs(world)
    busy = slow(world, monkeypatch, "one", third)
    looks(world, "two", 0.0)
    alone(world, "two", lambda: is_live(world, "two", third))
    alone(world, "one", lambda: all(held(layer) == [first, third] for layer in world.processes["one"].layers))
    begins_again(world, "two")
    alone(world, "two", lambda: follows(world, "two", third))
    busy.clear()
    world.rounds(lambda: left_all_but(world, third))
    world.rest(third)
    partitions = theirs(world, "two")
    assert not any(said.epoch == second and said.live.get(p) for said in world.progress() for p in partitions)
    assert_state(world, "g3", BASE, world.reader("g3", third))


def test_a_new_epoch_reads_no_window_of_keys_that_the_older_one_has(world: SharedWorld) -> None:
    """Whatever came under a key is counted once all the same, before and after the generation's offsets."""
    first = begun(world)
    world.send(*some(3)[:20], key="first")
    world.rest(first)
    covers = world.admin.end_offsets(world.settings.input.topic)
    world.send(*some(4)[:20], key="second")
    world.send(*some(4)[:20], key="second")
    world.rest(first)
    read = 0
    new_consumer = world.new_consumer

    def counting(group: str | None) -> Consumer:
        consumer = new_consumer(group)
        poll = consumer.poll

        def polled(most: int, timeout_s: float) -> Any:
            nonlocal read
            events = poll(most, timeout_s)
            for event in events:
                if isinstance(event, Record) and event.topic == world.settings.input.topic:
                    read += event.offset < covers[event.partition]
            return events

        consumer.poll = polled  # type: ignore[method-assign]
        return consumer

    for layer in world.layers():
        loader = layer._next_epoch._load.args[0].__closure__  # type: ignore[attr-defined]
        (opened,) = [cell.cell_contents for cell in loader if isinstance(cell.cell_contents, EpochLoader)]
        opened.new_consumer = counting
    second = world.publish("g2", BASE, ITEMS, covers, seed=1)
    world.rounds(lambda: left_all_but(world, second))
    world.rest(second)
    assert read == 0
    world.send(*some(3)[:20], key="first")
    world.send(*some(4)[:20], key="second")
    world.rest(second)
    assert_state(world, "g2", BASE, world.reader("g2", second))


def test_who_starts_from_a_checkpoint_knows_what_others_had_announced(world: SharedWorld) -> None:
    """Else it takes what is served for passed over, when it hears of the next epoch first."""
    first = begun(world)
    announced = told(world, "one")
    alone(world, "one", lambda: announced(first))
    end = world.admin.end_offsets(world.settings.input.topic)
    alone(world, "one", lambda: any(m.covered.input == {p: end[p] for p in m.covered.input} for m in world.manifests()))
    begins_again(world, "one")
    alone(world, "one", lambda: follows(world, "one", first))
    assert all(
        run.is_live_everywhere(range(PARTITIONS)) for layer in world.processes["one"].layers for run in layer.runs
    )
