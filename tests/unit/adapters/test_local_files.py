"""Files of the local file system: what a disk that is full leaves aside."""

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from oryx_py.adapters.file_systems.local_files import LocalFiles
from oryx_py.errors import StoreUnavailable


@pytest.mark.parametrize("call", ["create", "upload"])
@pytest.mark.parametrize("full", ["fsync", "replace", "link"])
def test_an_attempt_on_a_full_disk_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, full: str
) -> None:
    """Whoever is refused tries again, and again: each attempt left what it had written."""
    source, files = tmp_path / "source", LocalFiles(tmp_path / "files")
    source.write_bytes(b"content")

    def refused(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    attempts: dict[str, Callable[[], object]] = {
        "create": lambda: files.create("d/a", b"content"),
        "upload": lambda: files.upload(source, "d/a"),
    }
    attempts["create"]()
    files.delete("d/a")
    if (call, full) in {("create", "replace"), ("upload", "link")}:
        return  # not a step of this one
    monkeypatch.setattr(f"oryx_py.model.files.os.{full}", refused)
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="No space left"):
            attempts[call]()
    monkeypatch.undo()
    assert files.names("d") == []
    attempts[call]()
    assert files.names("d") == ["a"]
    assert files.read("d/a") == b"content"
