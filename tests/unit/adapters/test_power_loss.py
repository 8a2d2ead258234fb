"""Whatever effect the power fails after, readers see nothing or the whole, and writers go on."""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from oryx_py.adapters.commit_logs.commit_log import LocalCommitLog
from oryx_py.adapters.generation_stores.local_store import LocalStore
from oryx_py.errors import CorruptGeneration, CorruptLog
from oryx_py.model.files import FileEntry, write_file
from oryx_py.model.generations.generation import Generation
from oryx_py.ports.store import Commit
from oryx_py.testing.generations import write_small_generation
from tests.support.power import Left, cuts

OLD, NEW = "20260101T000000000-00000001", "20260102T000000000-00000002"


@pytest.fixture(autouse=True)
def no_waiting_for_the_real_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """The power fails in these tests alone."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def work(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where the system has one: thousands of small directories come and go."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


def publish(root: Path, name: str) -> None:
    store = LocalStore(root / "store")
    staged = store.stage(name)
    (staged / "index").mkdir()
    (staged / "index" / "lists.faiss").write_bytes(b"an index " * 100)
    write_small_generation(staged, name, index="index")
    store.commit(name)


def nothing(root: Path) -> None:
    """An empty disk."""


@pytest.mark.parametrize("before", [[], [OLD]], ids=["first generation", "second generation"])
def test_a_generation_is_there_whole_or_not_at_all(work: Path, before: list[str]) -> None:
    assert_whole_generation_or_none(work, before)


def assert_whole_generation_or_none(work: Path, before: list[str]) -> None:
    outcomes = set()
    for left in cuts(work, lambda root: [publish(root, name) for name in before], lambda root: publish(root, NEW)):
        store = LocalStore(left.root / "store")
        there = store.generations()
        assert there in (before, [*before, NEW]), left.story
        assert NEW in there or not left.returned, f"an acknowledged commit was lost: {left.story}"
        for name in there:
            generation = Generation.open(store.local(name))
            assert generation.user_histories.row(2)[0].tolist() == [0, 1], left.story
        recover(left, before)
        outcomes.add((left.returned, NEW in there))
    assert outcomes == {(False, False), (False, True), (True, True)}


def recover(left: Left, before: list[str]) -> None:
    """What the next start does: sweep, and write again unless it is there."""
    store = LocalStore(left.root / "store")
    if NEW not in store.generations():
        for name in store.incomplete():
            store.delete(name)
        publish(left.root, NEW)
    assert store.generations() == [*before, NEW], left.story


def test_a_deleted_generation_is_there_whole_or_not_at_all(work: Path) -> None:
    for left in cuts(work, lambda root: publish(root, OLD), lambda root: LocalStore(root / "store").delete(OLD)):
        store = LocalStore(left.root / "store")
        if OLD in store.generations():
            assert not left.returned, f"a deleted generation came back: {left.story}"
            Generation.open(store.local(OLD))
        for name in store.incomplete():
            store.delete(name)
        assert store.incomplete() == [], left.story


@pytest.mark.parametrize("before", [0, 2])
def test_a_commit_is_there_whole_or_not_at_all(work: Path, before: int) -> None:
    assert_whole_commit_or_none(work, before)


def assert_whole_commit_or_none(work: Path, before: int) -> None:
    earlier = [Commit(number, b"payload %d" % number * 50) for number in range(1, before + 1)]
    new = Commit(before + 1, b"the new one" * 50)

    def prepare(root: Path) -> None:
        for commit in earlier:
            LocalCommitLog(root / "log").append(commit.number, commit.payload)

    outcomes = set()
    for left in cuts(work, prepare, lambda root: LocalCommitLog(root / "log").append(new.number, new.payload)):
        log = LocalCommitLog(left.root / "log")
        there = log.read()
        assert there in (earlier, [*earlier, new]), left.story
        assert new in there or not left.returned, f"an acknowledged commit was lost: {left.story}"
        if new not in there:
            log.append(new.number, new.payload)
        log.append(new.number + 1, b"the next")
        assert log.read() == [*earlier, new, Commit(new.number + 1, b"the next")], left.story
        hidden = [path for path in (left.root / "log").iterdir() if path.name.startswith(".")]
        assert hidden == [], f"not swept: {left.story}"
        outcomes.add((left.returned, new in there))
    assert outcomes == {(False, False), (False, True), (True, True)}


def without_fsync(path: Path, write: Callable[..., object]) -> FileEntry:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        return write_file(path, write)


@pytest.mark.parametrize(
    ("step", "instead", "claim", "before"),
    [
        ("oryx_py.model.generations.writer.sync_directory", nothing, assert_whole_generation_or_none, []),
        ("oryx_py.model.summed.write_file", without_fsync, assert_whole_generation_or_none, []),
        ("oryx_py.model.summed.sync_directory", nothing, assert_whole_generation_or_none, []),
        ("oryx_py.adapters.generation_stores.local_store.sync_directory", nothing, assert_whole_generation_or_none, []),
        ("oryx_py.adapters.file_systems.local_files.sync_directory", nothing, assert_whole_commit_or_none, 0),
        ("oryx_py.adapters.file_systems.local_files.write_file", without_fsync, assert_whole_commit_or_none, 0),
    ],
)
def test_a_writer_that_leaves_out_an_fsync_is_caught(
    work: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    instead: object,
    claim: Callable[..., None],
    before: object,
) -> None:
    monkeypatch.setattr(step, instead)
    with pytest.raises((AssertionError, CorruptGeneration, CorruptLog)):
        claim(work, before)
