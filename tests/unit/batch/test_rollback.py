"""Going back to an earlier generation."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_layer.publishing.lineage import lineage
from batch_layer.publishing.rollback import roll_back
from batch_layer.run.steps import Outcome, Step
from oryx_py.errors import UserError
from oryx_py.model.epochs.registry import EpochStarted, Registry
from tests.support.batch import BatchWorld, Crash


@pytest.fixture
def world(tmp_path: Path) -> BatchWorld:
    """Three generations, the third of them live."""
    world = BatchWorld(tmp_path)
    for value in ("ann,tea,1", "bob,jam,1", "cid,egg,1"):
        world.send(value)
        world.run()
    return world


def back(world: BatchWorld, generation: str | None = None) -> str:
    with world.publisher() as publisher:
        return roll_back(world.registry, world.store, publisher, generation).generation


def test_an_earlier_generation_is_a_new_epoch(world: BatchWorld) -> None:
    first, second, third = world.store.generations()
    assert back(world) == second
    registry = world.registry.read()
    assert [epoch.generation for epoch in registry.epochs] == [first, second, third, second]
    assert (registry.state(second), registry.state(third)) == ("published", "retired")
    for refs in world.announced().values():
        assert [ref.epoch for ref in refs] == [1, 2, 3, 4]
        assert refs[-1].generation == second


def test_going_back_twice_goes_back_two_generations(world: BatchWorld) -> None:
    first, second, _ = world.store.generations()
    assert [back(world), back(world)] == [second, first]
    with pytest.raises(UserError, match="no generation before"):
        back(world)


def test_a_named_generation_may_be_any_that_was_live(world: BatchWorld) -> None:
    first, second, third = world.store.generations()
    assert [back(world, first), back(world, third), back(world)] == [first, third, first]
    with pytest.raises(UserError, match=f"{first} is live already"):
        back(world, first)
    with pytest.raises(UserError, match=f"there are: {first}, {second}, {third}"):
        back(world, "20000101T000000000-00000000")


def test_what_is_deleted_cannot_come_back(world: BatchWorld) -> None:
    first, second, _ = world.store.generations()
    world.store.delete(second)
    assert back(world) == first


def test_without_new_input_the_next_run_leaves_it_alone(world: BatchWorld) -> None:
    second = world.store.generations()[1]
    back(world)
    assert world.run() is Outcome.NOTHING_NEW
    assert world.newest().name == second
    world.send("dan,tea,1")
    assert world.run() is Outcome.PUBLISHED
    assert world.newest().manifest.parent == second


def test_settings_that_change_after_a_rollback_count_and_those_that_stay_do_not(world: BatchWorld) -> None:
    """Whether one goes back to a generation of less input, or to one of other settings and the same input."""
    second, third = world.store.generations()[1:]
    bad, good = world.recipe, msgspec.structs.replace(world.recipe, seed=5)
    back(world)
    assert world.run() is Outcome.NOTHING_NEW
    world.use(good)
    assert world.run() is Outcome.PUBLISHED
    fourth = world.newest().name
    assert back(world, third) == third
    assert world.run() is Outcome.NOTHING_NEW
    world.use(bad)
    assert world.run() is Outcome.NOTHING_NEW
    assert world.newest().name == third
    back(world, fourth)
    assert world.run() is Outcome.PUBLISHED
    assert world.newest().name not in {second, third, fourth}


def test_a_finished_candidate_does_not_undo_it(world: BatchWorld) -> None:
    world.send("dan,tea,1")
    with pytest.raises(Crash):
        world.run(crash_after=Step.GENERATION_COMMITTED)
    candidate = world.store.generations()[-1]
    second = world.store.generations()[1]
    assert back(world) == second
    assert world.registry.read().state(candidate) == "rejected"


def test_where_nothing_was_published_there_is_nothing_to_roll_back(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing was ever published"):
        back(BatchWorld(tmp_path))


@given(st.lists(st.integers(0, 5), max_size=30))
def test_the_line_is_what_is_left_when_each_return_undoes_what_came_between(live: list[int]) -> None:
    epochs = tuple(EpochStarted(n, f"g{generation}", {}, n) for n, generation in enumerate(live, 1))
    line: list[int] = []
    for generation in live:
        line = [*line[: line.index(generation) if generation in line else len(line)], generation]
    assert lineage(Registry(epochs=epochs)) == [f"g{generation}" for generation in line]
