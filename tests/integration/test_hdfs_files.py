"""HDFS itself keeps the contracts of files, commit logs and stores."""

import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from oryx_py.adapters.commit_logs.commit_log import FileCommitLog
from oryx_py.adapters.file_systems.webhdfs_client import WebHdfs
from oryx_py.adapters.file_systems.webhdfs_files import WebHdfsFiles
from oryx_py.adapters.places import Reach, open_store
from oryx_py.local.hdfs import EmbeddedHdfs
from oryx_py.ports.store import ArtefactStore, CommitLog
from oryx_py.testing.contracts.files_contract import ExclusiveFilesContract, OpenFiles
from oryx_py.testing.contracts.store_contract import ArtefactStoreContract, CommitLogContract

pytestmark = [pytest.mark.hdfs, pytest.mark.xdist_group("hdfs")]


@pytest.fixture
def open_files(hdfs: EmbeddedHdfs) -> OpenFiles:
    folder = f"/tests/{uuid.uuid4()}/some files"

    def connect() -> WebHdfsFiles:
        client = WebHdfs(hdfs.namenode.webhdfs_url)
        return WebHdfsFiles(client, f"hdfs://{hdfs.namenode.address}{folder}", folder)

    return connect


class TestFiles(ExclusiveFilesContract):
    pass


class TestCommitLog(CommitLogContract):
    @pytest.fixture
    def open_log(self, open_files: OpenFiles) -> Callable[[], CommitLog]:
        return lambda: FileCommitLog(open_files(), "registry")

    def test_many_commits_are_read_from_packs(self, open_files: OpenFiles, monkeypatch: pytest.MonkeyPatch) -> None:
        """One of which was there before, of a log that was put back."""
        monkeypatch.setattr("oryx_py.adapters.commit_logs.commit_log.PACKED", 5)
        monkeypatch.setattr("oryx_py.adapters.commit_logs.commit_packs.PACKED", 5)
        files, log = open_files(), FileCommitLog(open_files(), "registry")
        assert files.create("registry/.000000000010.pack", b"of another log")
        for number in range(1, 13):
            log.append(number, b"payload %d" % number)
        packs = [f"registry/.{number:012d}.pack" for number in (5, 10)]
        assert [(files.size(path) or 0) > 200 for path in packs] == [True, True]
        assert FileCommitLog(files, "registry").read() == log.read()
        assert [commit.number for commit in log.read()] == list(range(1, 13))


class TestStore(ArtefactStoreContract):
    @pytest.fixture
    def open_store(self, hdfs: EmbeddedHdfs, tmp_path: Path) -> Callable[[], ArtefactStore]:
        place = f"hdfs://{hdfs.namenode.address}/tests/{uuid.uuid4()}"
        reach = Reach(webhdfs_url=hdfs.namenode.webhdfs_url, cache_dir=tmp_path / "cache")
        return lambda: open_store(place, reach)
