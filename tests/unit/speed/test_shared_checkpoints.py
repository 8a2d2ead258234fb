"""Checkpoints of several processes: who takes partitions over reads the tail alone, and ends in the same vectors."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from oryx_py.events import Interaction
from oryx_py.messages import decode, partition_of
from oryx_py.model.checkpoints.checkpoint_files import Checkpoint
from oryx_py.model.generations.generation import Generation
from oryx_py.model.state.model_state import ModelState
from oryx_py.runtime.checkpoints import Checkpoints
from speed_layer.checkpoints.writer import NoCheckpoints
from tests.support.answers import assert_state
from tests.support.shared_speed import BASE, ITEMS, PARTITIONS, SharedWorld, owned, shared, some


@pytest.fixture
def world(tmp_path: Path) -> Iterator[SharedWorld]:
    made = SharedWorld(tmp_path)
    yield made
    made.close()


def replayed(logs: list[Any]) -> int:
    return sum(entry["records"] for entry in logs if entry["event"] == "input_replayed")


def told_and_taken(world: SharedWorld, seed: int = 1) -> int:
    epoch = world.publish("g1", BASE, ITEMS, {})
    shared(world, epoch, "one", "two")
    world.send(*some(seed), key="first")
    world.rest(epoch)
    world.taken()
    return epoch


def served_from_checkpoints(world: SharedWorld, epoch: int) -> tuple[ModelState, dict[int, int]]:
    """What serving begins with, of several checkpoints, and from where on in the update topic."""
    generation = Generation.open(world.store.local("g1"))
    (entry,) = world.registry.read().epochs
    restored = Checkpoints(world.checkpoints, world.store, range(PARTITIONS)).newest(entry, generation)
    assert restored is not None
    assert len(restored.states) > 1
    covered = restored.known.covered
    state = ModelState(generation, epoch)
    state.load(restored.changes, covered.input, covered.live, covered.terms)
    return state, covered.update


def test_who_takes_over_reads_the_tail_alone(world: SharedWorld) -> None:
    """Of what the killed one had in checkpoints nothing is read again, and the vectors are those at rest."""
    epoch = told_and_taken(world)
    world.no_more_checkpoints()
    covered = {p: offset for manifest in world.manifests() for p, offset in manifest.covered.input.items()}
    moved = {p for layer in world.processes["two"].layers for p in layer.partitions}
    world.send(*some(2, 5))
    world.rest(epoch)
    with capture_logs() as logs:
        world.kill("two")
        world.send(*some(3, 5))
        world.rounds(lambda: owned(world) == PARTITIONS)
        world.rest(epoch)
    end = world.admin.end_offsets(world.settings.input.topic)
    assert replayed(logs) == sum(end[p] - covered[p] for p in moved) > 0
    assert all(covered[p] > 10 for p in moved)
    world.send(*some(4, 20))
    world.send(*some(1), key="first")
    world.rest(epoch)
    assert_state(world, "g1", BASE, world.reader("g1", epoch))


def test_all_start_again_and_read_nothing(world: SharedWorld) -> None:
    """Under other names, so that the parts are cut in another way."""
    epoch = told_and_taken(world)
    before = world.reader("g1", epoch)
    for name in ("one", "two"):
        world.kill(name)
    with capture_logs() as logs:
        shared(world, epoch, "three", "four", "five")
    assert [entry for entry in logs if entry["event"] == "checkpoint_read"]
    assert replayed(logs) == 0
    world.send(*some(2))
    world.rest(epoch)
    assert_state(world, "g1", BASE, world.reader("g1", epoch))
    assert before.epoch == epoch


def test_one_without_a_name_begins_with_the_parts_of_several(world: SharedWorld) -> None:
    epoch = told_and_taken(world)
    for name in ("one", "two"):
        world.kill(name)
    with capture_logs() as logs:
        alone = world.start(checkpoints=True)
        world.settle(alone, epoch)
    assert replayed(logs) == 0
    world.send(*some(2))
    world.send(*some(1), key="first")
    world.settle(alone, epoch)
    assert_state(world, "g1", BASE, world.reader("g1", epoch))


def test_several_begin_with_the_checkpoint_of_one_that_had_no_name(world: SharedWorld) -> None:
    epoch = world.publish("g1", BASE, ITEMS, {})
    alone = world.start(checkpoints=True)
    world.send(*some(1))
    world.settle(alone, epoch)
    world.run(alone, lambda: bool(world.manifests()) and sum(world.manifests()[-1].covered.input.values()) > 60)
    alone.close()
    with capture_logs() as logs:
        shared(world, epoch, "one", "two", "three")
    assert replayed(logs) == 0
    world.send(*some(2))
    world.rest(epoch)
    assert_state(world, "g1", BASE, world.reader("g1", epoch))


def test_a_broken_one_makes_its_partitions_slower_and_nothing_else(world: SharedWorld) -> None:
    epoch = told_and_taken(world)
    world.no_more_checkpoints()
    for manifest in world.manifests():
        if 0 in manifest.covered.input:
            (world.folder / manifest.checkpoint / "pairs.strengths.npy").write_bytes(b"torn")
    for name in ("one", "two"):
        world.kill(name)
    with capture_logs() as logs:
        shared(world, epoch, "one", "two")
    end = world.admin.end_offsets(world.settings.input.topic)
    assert 0 < replayed(logs) < sum(end.values())
    assert any(entry["event"] == "checkpoint_left_out" for entry in logs)
    world.send(*some(2))
    world.rest(epoch)
    assert_state(world, "g1", BASE, world.reader("g1", epoch))


def test_serving_begins_with_all_parts_together(world: SharedWorld) -> None:
    """And the update topic's tail brings it to the same."""
    epoch = told_and_taken(world)
    state, start = served_from_checkpoints(world, epoch)
    assert dict(state.progress()) == world.admin.end_offsets(world.settings.input.topic)
    assert_state(world, "g1", BASE, state)
    assert start[0] > world.registry.read().epochs[0].start[0]


def test_serving_keeps_what_a_former_owner_said_after_its_checkpoint(world: SharedWorld) -> None:
    """Though the checkpoint of another part was taken when the next owner had already spoken."""
    epoch = told_and_taken(world)
    moved = world.processes["two"].layers[0]
    moved._checkpoints.close()
    moved._checkpoints = NoCheckpoints()
    world.send(*some(2))
    world.rest(epoch)
    world.kill("two")
    before = {manifest.checkpoint for manifest in world.manifests()}
    world.rounds(lambda: owned(world) == PARTITIONS)
    # It is the former owner's checkpoint that the partitions moved have, and a newer one that the others have.
    for layer in world.layers():
        if moved.partitions & layer.partitions:
            layer._checkpoints.close()
            layer._checkpoints = NoCheckpoints()
    world.send(Interaction(next(u for u in BASE if partition_of(u, PARTITIONS) not in moved.partitions), "p", 1.0))
    world.rest(epoch)
    world.rounds(lambda: bool({manifest.checkpoint for manifest in world.manifests()} - before))
    world.rest(epoch)
    state, start = served_from_checkpoints(world, epoch)
    for record in world.read(world.settings.update.topic):
        if record.offset >= start[record.partition]:
            update = decode(record.key, record.value, record.headers)
            assert update is not None
            state.apply(update, record.partition)
    assert_state(world, "g1", BASE, state)


def test_a_checkpoint_has_the_users_of_its_own_partitions_alone(world: SharedWorld) -> None:
    """Also after partitions were let go: whoever is forgotten by another is not in it."""
    epoch = told_and_taken(world)
    world.join("three")
    world.rounds(lambda: bool(world.processes["three"].layers) and owned(world) == PARTITIONS)
    world.send(*some(4))
    world.rest(epoch)
    world.taken()
    world.no_more_checkpoints()
    generation = Generation.open(world.store.local("g1"))
    newest = {p: manifest for manifest in world.manifests() for p in manifest.covered.input}
    checked = 0
    for manifest in newest.values():
        changes = Checkpoint.open(world.folder / manifest.checkpoint, generation).changes
        state = ModelState(generation, epoch)
        state.load(changes, {}, [])
        rows = {*changes.histories.rows.users.tolist(), *changes.user_vectors.handles.tolist()}
        for name in [*changes.new_users, *state.users.ids(sorted(rows))]:
            assert partition_of(name, PARTITIONS) in manifest.covered.input
            checked += 1
    assert checked


def test_who_was_replaced_while_it_was_written_commits_none(world: SharedWorld) -> None:
    """Of what it had folded readers may have dropped some; so it is not there for others to begin with."""
    epoch = told_and_taken(world)
    (layer,) = (layer for layer in world.layers() if 2 in layer.partitions)
    writing: Any = layer._checkpoints
    confirm = writing._ownership.confirm
    place, group = (world.settings.items.topic, 2), world.log.groups[world.settings.speed.group_id]

    def claimed_before(partitions: frozenset[int]) -> None:
        group[place] = (group[place] or 0) + 10
        confirm(partitions)

    before = {manifest.checkpoint for manifest in world.manifests() if 2 in manifest.covered.input}
    writing._ownership = Claimed(claimed_before)
    world.send(*some(2))
    with capture_logs() as logs:
        world.rounds(lambda: any(entry["event"] == "checkpoint_not_written" for entry in logs))
    assert {manifest.checkpoint for manifest in world.manifests() if 2 in manifest.covered.input} <= before
    world.rest(epoch)


@dataclass
class Claimed:
    """An ownership that somebody else takes in between."""

    confirm: Callable[[frozenset[int]], None]
