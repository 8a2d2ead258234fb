"""Copies of commits in one file for many: they save questions, and say nothing of their own."""

import shutil
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oryx_py.adapters.commit_logs.commit_log import FileCommitLog, LocalCommitLog
from oryx_py.adapters.file_systems.local_files import LocalFiles
from oryx_py.errors import CorruptLog, StoreUnavailable
from oryx_py.ports.store import Commit
from tests.support.counting_files import CountingFiles

COUNT, IN_A_PACK = 35, 10
COMMITS = [Commit(number, b"\n%d" % number * (number % 4)) for number in range(1, COUNT + 1)]
PACKS = [f".{number:012d}.pack" for number in (10, 20, 30)]


@pytest.fixture(autouse=True, scope="module")
def small_packs() -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("oryx_py.adapters.commit_logs.commit_log.PACKED", IN_A_PACK)
        patch.setattr("oryx_py.adapters.commit_logs.commit_packs.PACKED", IN_A_PACK)
        yield


def filled(place: Path, commits: list[Commit] = COMMITS) -> Path:
    log = LocalCommitLog(place)
    for commit in commits:
        log.append(commit.number, commit.payload)
    return place


def hidden(place: Path) -> list[str]:
    return sorted(path.name for path in place.iterdir() if path.name.startswith("."))


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return filled(tmp_path_factory.mktemp("packs") / "log")


@pytest.fixture
def place(kept: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(kept, tmp_path / "log"))


def test_a_first_reader_asks_for_packs_and_for_what_is_in_none(place: Path) -> None:
    """And for the last commit of each pack, which shows that it is of this log."""
    assert hidden(place) == PACKS
    files = CountingFiles(place)
    assert FileCommitLog(files).read() == COMMITS
    assert files.asked == Counter(names=1, read=3 + 3 + 5)


def test_from_any_commit_on_it_is_the_same_log(place: Path) -> None:
    for after in range(COUNT + 2):
        assert LocalCommitLog(place).read(after) == COMMITS[after:]


@settings(deadline=None, max_examples=60)
@given(pack=st.sampled_from(PACKS), where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), cut=st.booleans())
def test_a_damaged_pack_changes_nothing(kept: Path, pack: str, where: float, bit: int, cut: bool) -> None:
    path = kept / pack
    sound = path.read_bytes()
    content = bytearray(sound)
    content[int(len(sound) * where)] ^= 1 << bit
    path.write_bytes(sound[: int(len(sound) * where)] if cut else content)
    try:
        assert LocalCommitLog(kept).read() == COMMITS
    finally:
        path.write_bytes(sound)


def test_packs_of_a_log_that_was_there_before_are_not_believed(place: Path) -> None:
    """Hidden files are easily left behind; and each is replaced when its time comes."""
    for path in place.glob("*.json"):
        path.unlink()
    other = [Commit(number, b"other %d" % number) for number in range(1, 26)]
    for count in (9, 10, 15, 25):
        log = LocalCommitLog(place)
        for commit in other[len(log.read()) : count]:
            log.append(commit.number, commit.payload)
        assert LocalCommitLog(place).read() == log.read() == other[:count]
    files = CountingFiles(place)
    FileCommitLog(files).read()
    assert files.asked["read"] == 2 + 2 + 5


def test_what_was_not_packed_is_packed_later(place: Path) -> None:
    for name in PACKS[:2]:
        (place / name).unlink()
    log = LocalCommitLog(place)
    for number in range(COUNT + 1, 41):
        log.append(number, b"")
    assert hidden(place) == [*PACKS, ".000000000040.pack"]
    assert LocalCommitLog(place).read() == log.read() == [*COMMITS, *(Commit(n, b"") for n in range(36, 41))]


def test_what_cannot_be_packed_is_committed_all_the_same(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create = LocalFiles.create

    def refusing(files: LocalFiles, path: str, content: bytes) -> bool:
        if path.endswith(".pack"):
            raise StoreUnavailable("no room")
        return create(files, path, content)

    monkeypatch.setattr(LocalFiles, "create", refusing)
    log = LocalCommitLog(place)
    for number in range(COUNT + 1, 41):
        log.append(number, b"")
    assert hidden(place) == PACKS
    assert len(LocalCommitLog(place).read()) == 40


def test_a_pack_that_a_dead_process_left_aside_goes_a_pack_later(place: Path) -> None:
    """Not before, as another process may be about to name it."""
    left = place / "..000000000040.pack.0123456789abcdef.tmp"
    log = LocalCommitLog(place)
    for number in range(COUNT + 1, 50):
        if number == 41:
            left.write_bytes(b"half")
        log.append(number, b"")
        assert number < 41 or left.exists()
    log.append(50, b"")
    assert hidden(place) == [*PACKS, ".000000000040.pack", ".000000000050.pack"]


@pytest.mark.parametrize("number", [1, 10, 17, 30])
def test_a_commit_that_is_only_in_a_pack_is_missing(place: Path, number: int) -> None:
    """Its own file is what counts."""
    (place / f"{number:012d}.json").unlink()
    with pytest.raises(CorruptLog, match=f"{number:012d}.json is missing"):
        LocalCommitLog(place).read()
