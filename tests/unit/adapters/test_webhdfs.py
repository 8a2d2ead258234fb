"""Files in HDFS where answers get lost, other writers are faster, and DataNodes die while they send."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from oryx_py.adapters.file_systems.webhdfs_client import EXISTS, HdfsTrouble
from oryx_py.adapters.file_systems.webhdfs_files import WebHdfsFiles
from oryx_py.errors import StoreUnavailable


class FakeHdfs:
    """Files in a dictionary; ``on_rename`` runs in the place of the next rename, and gets the real one."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.on_rename: Callable[[Callable[[], None]], None] | None = None
        self.cut = 0

    def status(self, path: str) -> dict[str, Any] | None:
        if path in self.files:
            return {"type": "FILE", "length": len(self.files[path])}
        return {"type": "DIRECTORY"} if any(name.startswith(path + "/") for name in self.files) else None

    def make_directories(self, path: str) -> None:
        pass

    def rename(self, path: str, to: str, *, overwrite: bool = False) -> None:
        def do() -> None:
            if path not in self.files:
                raise HdfsTrouble(f"{path} does not exist", "FileNotFoundException")
            if to in self.files and not overwrite:
                raise HdfsTrouble(f"{to} exists", EXISTS)
            self.files[to] = self.files.pop(path)

        act, self.on_rename = self.on_rename, None
        act(do) if act else do()

    def delete(self, path: str) -> None:
        self.files.pop(path, None)

    def write(self, path: str, content: Any, *, replication: int | None = None) -> None:
        self.files[path] = content if isinstance(content, bytes) else b"".join(content)

    @contextmanager
    def read(self, path: str, start: int = 0, length: int | None = None) -> Iterator[io.BytesIO]:
        stop = None if length is None else start + length - self.cut
        yield io.BytesIO(self.files[path][start:stop])


@pytest.fixture
def hdfs() -> FakeHdfs:
    return FakeHdfs()


@pytest.fixture
def files(hdfs: FakeHdfs) -> WebHdfsFiles:
    return WebHdfsFiles(hdfs, "hdfs://nn:8020/oryx", "/oryx")  # type: ignore[arg-type] - as much of one as is used


def lost(do: Callable[[], None]) -> None:
    """It was done, and nobody heard of it."""
    do()
    raise HdfsTrouble("connection reset", "")


def refused(do: Callable[[], None]) -> None:
    """It was not done."""
    raise HdfsTrouble("connection refused", "")


def test_an_answer_that_got_lost_is_found_out(hdfs: FakeHdfs, files: WebHdfsFiles) -> None:
    hdfs.on_rename = lost
    assert files.create("c/1", b"mine")
    assert hdfs.files == {"/oryx/c/1": b"mine"}
    hdfs.files["/oryx/staged/x"] = b"generation"
    hdfs.on_rename = lost
    assert files.move("staged/x", "x")


def test_what_was_not_done_is_said(hdfs: FakeHdfs, files: WebHdfsFiles) -> None:
    """Nothing is there afterwards but a hidden file."""
    hdfs.on_rename = refused
    with pytest.raises(StoreUnavailable, match="refused"):
        files.create("c/1", b"mine")
    assert files.read("c/1") is None
    hdfs.files["/oryx/staged/x"] = b"generation"
    hdfs.on_rename = refused
    with pytest.raises(StoreUnavailable, match="refused"):
        files.move("staged/x", "x")
    assert files.create("c/1", b"mine")


@pytest.mark.parametrize("sweeps", [False, True])
def test_a_rival_that_was_first_has_won(hdfs: FakeHdfs, files: WebHdfsFiles, sweeps: bool) -> None:
    """Whether it has swept our file away already or not: ours being gone does not make its file ours."""

    def rival(do: Callable[[], None]) -> None:
        if sweeps:
            hdfs.files.clear()
        hdfs.files["/oryx/c/1"] = b"theirs"
        do()

    hdfs.on_rename = rival
    assert not files.create("c/1", b"mine")
    assert hdfs.files == {"/oryx/c/1": b"theirs"}


def test_somebody_elses_directory_is_not_taken_for_ours(hdfs: FakeHdfs, files: WebHdfsFiles) -> None:
    def rival(do: Callable[[], None]) -> None:
        hdfs.files["/oryx/x"] = b"theirs"
        raise HdfsTrouble("connection reset", "")

    hdfs.files["/oryx/staged/x"] = b"ours"
    hdfs.on_rename = rival
    with pytest.raises(StoreUnavailable):
        files.move("staged/x", "x")
    assert not files.move("staged/x", "x")


def test_a_file_that_ends_early_is_no_file(hdfs: FakeHdfs, files: WebHdfsFiles, tmp_path: Path) -> None:
    hdfs.files["/oryx/a"] = b"0123456789"
    hdfs.cut = 3
    with pytest.raises(StoreUnavailable, match="7 of 10 bytes came"):
        files.read("a")
    with pytest.raises(StoreUnavailable, match="7 of 10 bytes came"):
        files.download("a", tmp_path / "a")
