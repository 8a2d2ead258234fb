"""The commit log of the local file system: damage, leftovers, disks without room or links."""

import errno
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from oryx_py.adapters.commit_logs.commit_log import LocalCommitLog
from oryx_py.adapters.file_systems.local_files import LocalFiles
from oryx_py.errors import CommitConflict, ConfigError, CorruptLog, StoreUnavailable
from oryx_py.ports.store import Commit


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def log(place: Path) -> LocalCommitLog:
    """Three commits."""
    log = LocalCommitLog(place)
    for number in (1, 2, 3):
        log.append(number, b"payload %d" % number)
    return log


def test_a_commit_is_a_file_that_people_can_read(log: LocalCommitLog, place: Path) -> None:
    first, payload = (place / "000000000002.json").read_bytes().split(b"\n")
    assert first.startswith(b'{"commit":2,"xxh3_128":"')
    assert payload == b"payload 2"
    assert sorted(path.name for path in place.iterdir()) == [f"{n:012d}.json" for n in (1, 2, 3)]


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("damaged")
    LocalCommitLog(place).append(1, b'[{"entry":"generation"}]' * 3)
    return place / "000000000001.json"


@settings(deadline=None, max_examples=200)
@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_is_found(damaged: Path, where: float, bit: int) -> None:
    """Except in the writer's random name, which says nothing to a reader."""
    path = damaged
    sound = path.read_bytes()
    at, name = int(len(sound) * where), sound.index(b'"writer":"') + len(b'"writer":"')
    assume(not name <= at < name + 16)
    content = bytearray(sound)
    content[at] ^= 1 << bit
    path.write_bytes(content)
    try:
        with pytest.raises(CorruptLog, match=r"000000000001\.json is damaged.*restore"):
            LocalCommitLog(damaged.parent).read()
    finally:
        path.write_bytes(sound)


@settings(deadline=None)
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_commit_cut_short_is_found(damaged: Path, share: float) -> None:
    path = damaged
    sound = path.read_bytes()
    path.write_bytes(sound[: int(len(sound) * share)])
    try:
        with pytest.raises(CorruptLog, match=r"000000000001\.json is damaged.*restore"):
            LocalCommitLog(damaged.parent).read()
    finally:
        path.write_bytes(sound)


def test_two_exchanged_commits_are_found(log: LocalCommitLog, place: Path) -> None:
    (place / "000000000002.json").rename(place / "x")
    (place / "000000000003.json").rename(place / "000000000002.json")
    (place / "x").rename(place / "000000000003.json")
    with pytest.raises(CorruptLog, match=r"000000000002\.json is damaged"):
        LocalCommitLog(place).read()


def test_what_was_read_is_not_read_again_but_for_the_newest(
    log: LocalCommitLog, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which shows that it is still the same log; each look at a file is a question to HDFS."""
    reader, read, plain = LocalCommitLog(place), [], LocalFiles.read

    def counted(files: LocalFiles, path: str, *rest: object) -> bytes | None:
        read.append(path)
        return plain(files, path, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(LocalFiles, "read", counted)
    names = [f"{n:012d}.json" for n in (1, 2, 3, 4)]
    whole = reader.read()
    assert read == names[:3]
    log.append(4, b"payload 4")
    read.clear()
    assert reader.read() == [*whole, Commit(4, b"payload 4")]
    assert read == [names[2], names[3]]
    read.clear()
    assert reader.read(after=4) == reader.read(after=7) == []
    assert read == []
    assert log.read() == reader.read()


@pytest.mark.parametrize("commits", [2, 3, 4])
def test_a_log_that_was_begun_anew_is_read_anew(log: LocalCommitLog, place: Path, commits: int) -> None:
    """Also where it says the same, for all that its files' names and sizes tell."""
    log.read()
    shutil.rmtree(place)
    other = LocalCommitLog(place)
    for number in range(1, commits + 1):
        other.append(number, b"payloaD %d" % number)
    assert log.read() == other.read() == [Commit(n, b"payloaD %d" % n) for n in range(1, commits + 1)]


def test_what_is_remembered_is_bounded_and_the_newest(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Since that is what is asked for again."""
    monkeypatch.setattr("oryx_py.adapters.commit_logs.commit_log._KNOWN_BYTES", 25)
    log = LocalCommitLog(place)
    for number in range(1, 6):
        log.append(number, b"ten bytes.")
    for reader in (log, LocalCommitLog(place)):
        for _ in range(2):
            assert reader.read() == [Commit(n, b"ten bytes.") for n in range(1, 6)]
            assert sorted(reader._known) == [4, 5]


@pytest.mark.parametrize("number", [1, 2])
def test_a_missing_commit_is_found(log: LocalCommitLog, place: Path, number: int) -> None:
    (place / f"{number:012d}.json").unlink()
    with pytest.raises(CorruptLog, match=f"{number:012d}.json is missing"):
        log.read()


@pytest.mark.parametrize("name", ["4.json", "000000000004.json.bak", "000000000004.msgpack", "notes"])
def test_what_is_no_commit_stops_the_reader(log: LocalCommitLog, place: Path, name: str) -> None:
    """It may be a commit of a newer version, and to leave it out would be to believe half the log."""
    (place / name).write_bytes(b"")
    with pytest.raises(CorruptLog, match=f"{name} is no commit that this version knows: move it away"):
        log.read()


def test_hidden_leftovers_are_ignored_and_swept_when_their_number_is_taken(log: LocalCommitLog, place: Path) -> None:
    leftovers = [place / f".{number:012d}.0123456789abcdef.tmp" for number in (2, 4, 5)]
    stranger = place / ".DS_Store"
    for path in (*leftovers, stranger):
        path.write_bytes(b"half a com")
    assert len(log.read()) == 3
    log.append(4, b"payload 4")
    assert [path.exists() for path in (*leftovers, stranger)] == [False, False, True, True]


class TestRaces:
    """Another writer between any two steps of ours."""

    def test_it_commits_before_we_link(self, log: LocalCommitLog, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """And sweeps our temporary file away, or not."""
        for number, sweeps in ((4, True), (5, False)):
            with monkeypatch.context() as patch:
                patch.setattr(os, "link", rival(place, number, sweeps=sweeps))
                with pytest.raises(CommitConflict, match="by another process"):
                    log.append(number, b"ours")
        assert [commit.payload for commit in log.read(after=3)] == [b"theirs", b"theirs"]
        assert [path for path in place.iterdir() if path.name.startswith(".")] == []

    def test_a_repeated_call_reports_our_own_link(
        self, log: LocalCommitLog, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As NFS does when the first answer was lost."""
        link = os.link

        def twice(source: Path, target: Path) -> None:
            link(source, target)
            link(source, target)

        monkeypatch.setattr(os, "link", twice)
        log.append(4, b"ours")
        assert log.read(after=3) == [Commit(4, b"ours")]


def rival(place: Path, number: int, *, sweeps: bool) -> object:
    """An ``os.link`` before which another writer commits the number."""
    link = os.link

    def late(source: Path, target: Path) -> None:
        os.link = link
        hidden = Path(source).rename(place / "hidden") if not sweeps else None
        LocalCommitLog(place).append(number, b"theirs")
        if hidden:
            hidden.rename(source)
        link(source, target)

    return late


@pytest.mark.parametrize(
    ("call", "number", "error", "reason"),
    [
        ("fsync", errno.ENOSPC, StoreUnavailable, "No space left on device"),
        ("link", errno.EIO, StoreUnavailable, "Input/output error"),
        ("link", errno.EPERM, ConfigError, "no hard links here"),
        ("link", errno.EOPNOTSUPP, ConfigError, "no hard links here"),
    ],
)
def test_what_the_disk_refuses_is_one_line_and_no_commit(
    log: LocalCommitLog,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    number: int,
    error: type[Exception],
    reason: str,
) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, refuse)
        with pytest.raises(error, match=reason):
            log.append(4, b"payload")
    assert len(log.read()) == 3
    log.append(4, b"payload")
    assert len(log.read()) == 4
