"""Starts from checkpoints: the same state as without, and whatever is wrong with one costs time alone."""

import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from structlog.testing import capture_logs

from oryx_py.adapters.clock import SystemClock
from oryx_py.errors import StoreUnavailable
from oryx_py.events import Interaction
from oryx_py.model.checkpoints.checkpoint_files import decode_checkpoint
from oryx_py.model.epochs.registry import EpochStarted
from oryx_py.model.generations.generation import Generation
from oryx_py.model.state.model_state import ModelState
from oryx_py.ports import ArtefactStore
from oryx_py.runtime.checkpoints import Checkpoints, epoch_of
from oryx_py.testing.fake_log import FakeAdmin, FakeConsumer, FakeLog, FakeProducer
from speed_layer.checkpoints.forking import forked, unforked
from speed_layer.checkpoints.writer import NoCheckpoints
from speed_layer.layer import SpeedLayer
from speed_layer.limits import Topics
from speed_layer.loading.earlier_announcements import announced_until_now
from tests.support.answers import assert_state
from tests.support.generations import Pairs
from tests.support.speed import SpeedWorld

ITEMS = ["p", "q", "r", "s"]
BASE: Pairs = {"a": {"p": 1.0, "q": 2.0}, "b": {"r": 1.0}, "c": {"q": 1.0, "s": 3.0}}


class Counting:
    """A consumer that says what was read."""

    def __init__(self, consumer: FakeConsumer, read: list[tuple[str, int, int]]) -> None:
        self._consumer, self._read = consumer, read

    def poll(self, max_records: int, timeout_s: float) -> list[Any]:
        events = self._consumer.poll(max_records, timeout_s)
        self._read += [(event.topic, event.partition, event.offset) for event in events if hasattr(event, "value")]
        return events

    def __getattr__(self, name: str) -> Any:
        return getattr(self._consumer, name)


class World(SpeedWorld):
    """On a log in memory; knows which records were read."""

    def __init__(self, folder: Path) -> None:
        self.log, self.was_read = FakeLog(), []
        super().__init__(
            folder,
            "checkpoints",
            admin=FakeAdmin(self.log),
            producer=FakeProducer(self.log),
            # That of the group looks for dead letters alone, from its own position.
            new_consumer=lambda group: Counting(FakeConsumer(self.log, group), self.was_read if group is None else []),
        )

    @property
    def folder(self) -> Path:
        return Path(self.settings.store_uri) / "checkpoints"

    def names(self) -> list[str]:
        return self.checkpoints.generations()

    def until_taken(self, layer: SpeedLayer) -> str:
        """Run until all that came is in a checkpoint; return its name."""
        end = self.admin.end_offsets(self.settings.input.topic)
        writing = layer._checkpoints

        def taken() -> bool:
            idle = writing._preparing is None and writing._finishing is None  # type: ignore[attr-defined]
            covered = writing._taken.get(layer.runs[-1].started.epoch) if layer.runs else None  # type: ignore[attr-defined]
            return idle and covered is not None and all(covered[p] >= offset for p, offset in end.items() if offset)

        self.run(layer, taken)
        return self.names()[-1]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.close()
    made.producer.close()


def some(seed: int, count: int = 25) -> list[Interaction]:
    rng = np.random.default_rng(seed)
    users, items = [*BASE, "m", "n"], [*ITEMS, "x", "y"]
    told = [
        Interaction(
            user=str(rng.choice(users)),
            item=str(rng.choice(items)),
            strength=None if rng.random() < 0.2 else float(rng.choice([1.0, 2.0, 0.5, -1.0])),
        )
        for _ in range(count)
    ]
    return [*told, Interaction(user="m", item="", strength=None), Interaction(user="", item="q", strength=None)]


def state_of(layer: SpeedLayer) -> ModelState:
    return layer.runs[-1].fold.state


def begun_and_told(world: World, seed: int = 1) -> tuple[int, SpeedLayer, str]:
    """An epoch with interactions of which all is in a checkpoint."""
    epoch = world.publish("g1", BASE, ITEMS, {})
    layer = world.start(checkpoints=True)
    world.send(*some(seed), key="first")
    world.settle(layer, epoch)
    return epoch, layer, world.until_taken(layer)


def inputs_read(world: World, action: Callable[[], SpeedLayer]) -> tuple[SpeedLayer, int]:
    before = len(world.was_read)
    layer = action()
    return layer, sum(topic == world.settings.input.topic for topic, _, _ in world.was_read[before:])


def started(world: World, epoch: int, *, checkpoints: bool = True) -> SpeedLayer:
    layer = world.start(checkpoints=checkpoints)
    world.settle(layer, epoch)
    return layer


def test_a_start_from_a_checkpoint_has_the_state_of_one_without(world: World) -> None:
    """And reads only what came after; keys from before it are still known."""
    epoch, _, _ = begun_and_told(world)
    again, read = inputs_read(world, lambda: started(world, epoch))
    assert read == 0
    plain, read = inputs_read(world, lambda: started(world, epoch, checkpoints=False))
    assert read >= 25
    assert_same_knowledge(state_of(again), state_of(plain))
    again = started(world, epoch)  # as readers do not hear the first one any more
    world.send(*some(2))
    world.send(*some(1), key="first")
    world.settle(again, epoch)
    assert_state(world, "g1", BASE, world.reader("g1", epoch))
    last = started(world, epoch, checkpoints=False)
    assert_same_knowledge(state_of(again), state_of(last))


def test_after_a_kill_the_tail_is_folded_onto_the_checkpoint(world: World) -> None:
    """What was announced since is folded silently, what was not is sent."""
    epoch, layer, name = begun_and_told(world)
    layer._checkpoints = NoCheckpoints()
    world.send(*some(2))
    world.settle(layer, epoch)
    world.send(*some(3))
    assert world.names()[-1] == name
    before = len(world.was_read)
    again = started(world, epoch)
    covered = decode_checkpoint(world.checkpoints.raw_manifest(name), name).covered.input
    read = [(p, o) for topic, p, o in world.was_read[before:] if topic == world.settings.input.topic]
    assert read
    assert all(offset >= covered[partition] for partition, offset in read)
    assert_state(world, "g1", BASE, world.reader("g1", epoch))
    assert_same_knowledge(state_of(again), state_of(started(world, epoch, checkpoints=False)))


def test_the_update_topic_is_read_from_the_checkpoint_on(world: World) -> None:
    epoch, layer, _ = begun_and_told(world)
    world.run(layer, lambda: len(world.progress()) > 3)
    before = len(world.was_read)
    started(world, epoch)
    read = [offset for topic, _, offset in world.was_read[before:] if topic == world.settings.update.topic]
    assert read
    assert min(read) > 0


def test_some_are_kept_and_those_of_epochs_past_are_deleted(world: World) -> None:
    epoch, layer, _ = begun_and_told(world)
    for seed in (2, 3, 4):
        world.send(*some(seed))
        world.settle(layer, epoch)
        world.until_taken(layer)
    assert len(world.names()) == 2
    end = world.admin.end_offsets(world.settings.input.topic)
    newer = world.publish("g2", BASE, ITEMS, end)
    world.settle(layer, newer)
    world.send(*some(5))
    world.settle(layer, newer)
    world.until_taken(layer)
    assert {int(name[:10]) for name in world.names()} == {newer}
    assert world.checkpoints.incomplete() == []


class SetBack(SystemClock):
    """A clock whose time is put back, as a wrong one is at some time after a start."""

    back_ms = 0

    def now_ms(self) -> int:
        return super().now_ms() - self.back_ms


def test_the_newest_is_begun_with_though_the_clock_was_put_back(world: World) -> None:
    """By an hour: what is written then is kept, and what was forgotten goes."""
    world.clock = clock = SetBack()
    epoch, layer, before = begun_and_told(world)
    clock.back_ms = 3_600_000
    for seed in (2, 3, 4):
        world.send(*some(seed))
        world.settle(layer, epoch)
        world.until_taken(layer)
    assert len(world.names()) == 2
    assert before not in world.names()
    again, read = inputs_read(world, lambda: started(world, epoch))
    assert read == 0
    before = world.names()[-1]
    world.send(*some(5))
    world.settle(again, epoch)
    assert world.until_taken(again) > before
    assert inputs_read(world, lambda: started(world, epoch))[1] == 0


def test_what_was_forgotten_goes_from_all_checkpoints_though_nothing_comes_in(world: World) -> None:
    epoch = world.publish("g1", BASE, ITEMS, {})
    layer = world.start(checkpoints=True)
    user, item = "somebody new", "something new"
    world.send(Interaction(user, item, 1.0), Interaction("a", item, 1.0))
    world.settle(layer, epoch)
    world.until_taken(layer)
    assert all(named_in(world, name) for name in (user, item))
    world.send(Interaction(user, "", None))
    for partition in range(world.partitions):
        world.send_raw(f",{item},".encode(), partition)
    world.settle(layer, epoch)
    world.run(layer, lambda: not any(named_in(world, name) for name in (user, item)))
    world.until_taken(layer)
    names = world.names()
    assert len(names) == 2
    for _ in range(20):
        layer.step(0.01)
    assert world.names() == names, "and no more are written than that takes"


def named_in(world: World, name: str) -> list[Path]:
    found = []
    for folder, _, files in os.walk(world.folder):
        for path in (Path(folder) / file for file in files):
            with suppress(FileNotFoundError):  # others are deleted meanwhile
                if name.encode() in path.read_bytes():
                    found.append(path)
    return found


def test_a_rollback_does_not_begin_with_the_checkpoint_of_another_epoch(world: World) -> None:
    epoch, layer, _ = begun_and_told(world)
    newer = world.begin("g1")
    world.settle(layer, newer)
    assert epoch != newer
    assert_state(world, "g1", BASE, world.reader("g1", newer))
    again = started(world, newer)
    assert_same_knowledge(state_of(again), state_of(layer))


def _bit(path: Path, at: float) -> None:
    content = bytearray(path.read_bytes())
    content[int(at * (len(content) - 1))] ^= 4
    path.write_bytes(content)


DAMAGES: Mapping[str, Callable[[Path], None]] = {
    "a-bit-of-the-strengths": lambda folder: _bit(folder / "pairs.strengths.npy", 0.9),
    "a-bit-of-the-vectors": lambda folder: _bit(folder / "users.vectors.npy", 0.5),
    "a-bit-of-the-manifest": lambda folder: _bit(folder / "manifest.json", 0.3),
    "cut": lambda folder: (folder / "pairs.items.npy").write_bytes((folder / "pairs.items.npy").read_bytes()[:-3]),
    "a-file-gone": lambda folder: (folder / "ids.high.npy").unlink(),
    "empty-manifest": lambda folder: (folder / "manifest.json").write_bytes(b""),
    "two-files-exchanged": lambda folder: _exchange(folder / "users.inputs.npy", folder / "users.inputs.handles.npy"),
}


def _exchange(one: Path, other: Path) -> None:
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_checkpoint_makes_the_start_slower_and_nothing_else(
    world: World, damage: Callable[[Path], None]
) -> None:
    """The one before is taken; where both are damaged, all is folded again. The log has one line for each."""
    epoch, layer, first = begun_and_told(world)
    world.send(*some(2))
    world.settle(layer, epoch)
    second = world.until_taken(layer)
    damage(world.folder / second)
    with capture_logs() as logs:
        again, read = inputs_read(world, lambda: started(world, epoch))
    left_out = [entry for entry in logs if entry["event"] == "checkpoint_left_out"]
    assert {entry["checkpoint"] for entry in left_out} == {second}
    assert read > 0
    assert any(entry["event"] == "checkpoint_read" and entry["checkpoint"] == first for entry in logs)
    assert_same_knowledge(state_of(again), state_of(layer))
    layer.close()  # else it may be deleting the oldest just now
    for name in world.names():
        if (world.folder / name / "ids.high.npy").exists():
            damage(world.folder / name)
    plain = started(world, epoch)
    assert_same_knowledge(state_of(plain), state_of(layer))
    assert_state(world, "g1", BASE, world.reader("g1", epoch))


def test_a_byte_changed_anywhere_is_noticed_or_of_no_account(world: World) -> None:
    """At 60 places of any file."""
    _, layer, name = begun_and_told(world)
    layer.close()
    rng = np.random.default_rng(6)
    pristine = world.folder.with_name("pristine")
    shutil.copytree(world.folder / name, pristine)
    generation = Generation.open(world.store.local("g1"))
    (entry,) = world.registry.read().epochs
    files = sorted(path.name for path in pristine.iterdir())
    for _ in range(60):
        shutil.rmtree(world.folder / name)
        shutil.copytree(pristine, world.folder / name)
        file = world.folder / name / str(rng.choice(files))
        content = bytearray(file.read_bytes())
        content[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
        file.write_bytes(content)
        found = Checkpoints(world.checkpoints, world.store, range(2)).newest(entry, generation)
        assert found is None or found.manifest.checkpoint != name, file


def test_a_foreign_checkpoint_is_left_out(world: World, tmp_path: Path) -> None:
    """One of another generation, under the name of this epoch's."""
    epoch, layer, name = begun_and_told(world)
    layer.close()
    other = World(tmp_path / "other")
    other.publish("g1", {"z": {"p": 1.0}}, ITEMS, {})
    theirs = other.start(checkpoints=True)
    other.send(*some(9))
    other.settle(theirs, epoch)
    shutil.rmtree(world.folder / name)
    shutil.copytree(other.folder / other.until_taken(theirs), world.folder / name)
    with capture_logs() as logs:
        again = started(world, epoch)
    assert any(entry["event"] == "checkpoint_left_out" for entry in logs)
    assert_state(world, "g1", BASE, world.reader("g1", epoch))
    assert_same_knowledge(state_of(again), state_of(started(world, epoch, checkpoints=False)))
    other.close()
    other.producer.close()


class _Killed(BaseException):
    pass


@pytest.mark.parametrize("step", ["stage", "write", "half-written", "commit", "after-commit", "delete"])
def test_a_writer_that_dies_at_any_step_leaves_what_was(world: World, step: str, monkeypatch: Any) -> None:
    """The next start finds the checkpoint before, or the new one, whole; and what is left over is swept in time."""
    epoch, layer, _ = begun_and_told(world)
    world.send(*some(2))
    world.settle(layer, epoch)
    world.until_taken(layer)
    store = world.checkpoints

    def die(*_: Any, **__: Any) -> Any:
        raise _Killed

    def dying_write(path: Path, array: Any, real: Any = None) -> Any:
        path.write_bytes(b"half")
        raise _Killed

    with monkeypatch.context() as patched:
        match step:
            case "stage":
                patched.setattr(type(store), "stage", die)
            case "write":
                patched.setattr("speed_layer.checkpoints.snapshot.write_checkpoint", die)
            case "half-written":
                patched.setattr("oryx_py.model.checkpoints.checkpoint_files.write_array", dying_write)
            case "commit":
                patched.setattr(type(store), "commit", die)
            case "after-commit":
                patched.setattr("speed_layer.checkpoints.checkpointing.decode_checkpoint", die)
            case "delete":
                patched.setattr(type(store), "delete", die)
        world.send(*some(3))
        with pytest.raises(_Killed):
            world.run(layer, lambda: False)
    again = started(world, epoch)
    assert_state(world, "g1", BASE, world.reader("g1", epoch))
    assert_same_knowledge(state_of(again), state_of(started(world, epoch, checkpoints=False)))


def test_what_a_dead_writer_left_is_swept_after_an_hour(world: World) -> None:
    """Not sooner: somebody may still write it."""
    epoch, layer, _ = begun_and_told(world)
    old, young = (f"{epoch:010d}-{time}-00000000" for time in ("20200101T000000000", "29990101T000000000"))
    for name in (old, young):
        (world.checkpoints.stage(name) / "pairs.items.npy").write_bytes(b"half")
    world.send(*some(2))
    world.settle(layer, epoch)
    world.until_taken(layer)
    assert world.checkpoints.incomplete() == [young]


def test_a_store_that_does_not_take_it_is_tried_again(world: World, monkeypatch: Any) -> None:
    """The layer goes on; the log and a counter say so."""
    epoch, layer, _ = begun_and_told(world)

    def refused(_: Any) -> None:
        raise StoreUnavailable("the disk is full")

    with monkeypatch.context() as patched, capture_logs() as logs:
        patched.setattr(world.checkpoints, "commit", refused)
        world.send(*some(2))
        world.settle(layer, epoch)
        world.run(layer, lambda: any(entry["event"] == "checkpoint_not_written" for entry in logs))
    assert world.metrics.checkpoint_failures._value.get() >= 1
    world.until_taken(layer)
    assert_state(world, "g1", BASE, world.reader("g1", epoch))


@pytest.mark.parametrize("spawn", [unforked, forked], ids=["at-once", "forked"])
def test_a_copy_of_the_process_writes_what_was_there_when_it_was_made(world: World, spawn: Any) -> None:
    """Whatever is folded while it writes."""
    world.spawn = spawn
    epoch, layer, name = begun_and_told(world)
    assert world.names()[-1] == name
    world.send(*some(4))
    world.settle(layer, epoch)
    world.until_taken(layer)
    assert_same_knowledge(state_of(started(world, epoch)), state_of(layer))


def test_what_fails_in_the_copy_is_told_in_the_process() -> None:
    def failing() -> None:
        raise StoreUnavailable("no room on the disk")

    with pytest.raises(StoreUnavailable, match="no room on the disk"):
        forked(failing)()
    with pytest.raises(StoreUnavailable, match="ended with -9"):
        forked(lambda: os.kill(os.getpid(), 9))()
    with pytest.raises(StoreUnavailable, match="not written within"):
        forked(threading.Event().wait, limit_s=0.2)()


def assert_same_knowledge(state: ModelState, expected: ModelState) -> None:
    """By ID, as handles are given in the order of arrival: histories to the bit, vectors to float32's rounding."""
    users = {state.users.id(user) for user in range(len(state.users))}
    assert users >= {expected.users.id(user) for user in range(len(expected.users)) if len(expected.history(user)[0])}
    for name in users:
        ours, theirs = state.users.find(name), expected.users.find(name)
        assert known(state, ours) == known(expected, theirs), name
        assert_vector(state.user_vector(ours), expected.user_vector(theirs) if theirs >= 0 else None)
    for item in range(len(expected.items)):
        here = state.items.find(expected.items.id(item))
        assert_vector(state.item_vector(here) if here >= 0 else None, expected.item_vector(item))


def known(state: ModelState, user: int) -> dict[str, float]:
    items, strengths = state.history(user) if user >= 0 else (np.empty(0, np.int64), np.empty(0))
    return dict(zip(state.items.ids(items), strengths.tolist(), strict=True))


def assert_vector(ours: Any, theirs: Any) -> None:
    assert (ours is None) == (theirs is None)
    if ours is not None:
        assert np.allclose(ours, theirs, rtol=1e-5, atol=1e-6)


class Counted:
    """A store of checkpoints that counts what is asked of it."""

    def __init__(self, store: ArtefactStore) -> None:
        self._store = store
        self.lists = 0
        self.manifests: list[str] = []

    def generations(self) -> list[str]:
        self.lists += 1
        return self._store.generations()

    def raw_manifest(self, name: str) -> bytes:
        self.manifests.append(name)
        return self._store.raw_manifest(name)


def test_a_start_lists_the_checkpoints_once_however_many_epochs_there_were(world: World) -> None:
    """And looks at those of epochs that have some; what it then knows is what each epoch says for itself."""
    _, layer, name = begun_and_told(world)
    layer.close()
    entries = world.registry.read().epochs
    old = [EpochStarted(number, "gone", {0: 0}, 0) for number in range(-500, 1)]
    counted = Counted(world.checkpoints)
    reader = Checkpoints(cast("ArtefactStore", counted), world.store, range(2))
    settings = world.settings
    announced = announced_until_now(
        [*old, *entries],
        Topics(
            input=settings.input.topic,
            input_partitions=2,
            update=settings.update.topic,
            update_partitions=1,
            max_record_bytes=settings.input.max_record_bytes,
            items=settings.items.topic,
        ),
        admin=world.admin,
        new_consumer=world.new_consumer,
        clock=SystemClock(),
        reader=reader,
        overlap_s=0.0,
    )
    assert counted.lists == 1
    assert {epoch_of(asked) for asked in counted.manifests} == {entries[-1].epoch}
    assert counted.manifests[0] == name
    counted.lists = 0
    assert [covered.input for covered in reader.all_covered([*old, *entries])] == [
        covered.input for covered in reader.all_covered(entries)
    ]
    assert counted.lists == 2  # one for each of the two
    known = reader.covered(entries[-1])
    assert known is not None
    assert announced.of(entries[-1].epoch).input.items() >= known.covered.input.items()
