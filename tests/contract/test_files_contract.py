"""The file systems of this project keep their contract; HDFS does in tests/integration."""

import uuid
from pathlib import Path

import fsspec
import pytest

from oryx_py.adapters.file_systems.fsspec_files import FsspecFiles
from oryx_py.adapters.file_systems.local_files import LocalFiles
from oryx_py.errors import ConfigError, MissingDependency
from oryx_py.testing.contracts.files_contract import ExclusiveFilesContract, FilesContract, OpenFiles


class TestLocalFiles(ExclusiveFilesContract):
    @pytest.fixture
    def open_files(self, tmp_path: Path) -> OpenFiles:
        return lambda: LocalFiles(tmp_path / "some files")


class TestFsspecInMemory(FilesContract):
    @pytest.fixture
    def open_files(self) -> OpenFiles:
        place = f"memory://oryx-{uuid.uuid4()}/files"
        return lambda: FsspecFiles(place)


class TestFsspecOnDisk(FilesContract):
    @pytest.fixture
    def open_files(self, tmp_path: Path) -> OpenFiles:
        return lambda: FsspecFiles(f"file://{tmp_path}/files")


def test_what_fsspec_does_not_reach_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="nosuch"):
        FsspecFiles("nosuch://bucket/x")

    def missing(*_: object, **__: object) -> object:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    with pytest.raises(MissingDependency, match="Install s3fs"):
        FsspecFiles("s3://bucket/x")
