"""The stores and commit logs of this project keep their contracts."""

import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from oryx_py.adapters.commit_logs.commit_log import LocalCommitLog
from oryx_py.adapters.file_systems.local_files import LocalFiles
from oryx_py.adapters.generation_stores.cache import GenerationCache
from oryx_py.adapters.generation_stores.local_store import LocalStore
from oryx_py.adapters.generation_stores.remote_store import RemoteStore
from oryx_py.adapters.places import Reach, open_store
from oryx_py.ports.store import ArtefactStore, CommitLog
from oryx_py.testing.contracts.store_contract import ArtefactStoreContract, CommitLogContract
from oryx_py.testing.memory_log import MemoryCommitLog


class TestLocalStore(ArtefactStoreContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Callable[[], ArtefactStore]:
        return lambda: LocalStore(tmp_path / "a store")


class TestLocalStoreBehindALink(ArtefactStoreContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Callable[[], ArtefactStore]:
        (tmp_path / "real").mkdir()
        (tmp_path / "link").symlink_to(tmp_path / "real")
        return lambda: LocalStore(tmp_path / "link" / "store")


class TestRemoteStoreOnDisk(ArtefactStoreContract):
    """Committed by one rename."""

    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Callable[[], ArtefactStore]:
        return lambda: RemoteStore(
            LocalFiles(tmp_path / "remote"), tmp_path / "staging", GenerationCache(tmp_path / "cache", 10**9)
        )


class TestRemoteStoreWhereNothingIsExclusive(ArtefactStoreContract):
    """Committed by the manifest alone, as in an object store."""

    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Callable[[], ArtefactStore]:
        place, reach = f"memory://{uuid.uuid4()}/store", Reach(cache_dir=tmp_path / "cache")
        return lambda: open_store(place, reach)


class TestMemoryCommitLog(CommitLogContract):
    @pytest.fixture
    def open_log(self) -> Callable[[], CommitLog]:
        log = MemoryCommitLog()
        return lambda: log


class TestLocalCommitLog(CommitLogContract):
    @pytest.fixture
    def open_log(self, tmp_path: Path) -> Callable[[], CommitLog]:
        return lambda: LocalCommitLog(tmp_path / "store" / "registry")


RACER = """
import sys
from pathlib import Path
from oryx_py.adapters.commit_logs.commit_log import LocalCommitLog
from oryx_py.errors import CommitConflict

log, me = LocalCommitLog(Path(sys.argv[1])), sys.argv[2].encode()
print("ready", flush=True)
for line in sys.stdin:
    try:
        log.append(int(line), me * 1000)
        print("won", flush=True)
    except CommitConflict:
        print("lost", flush=True)
"""


def test_of_many_processes_one_wins_each_number(tmp_path: Path) -> None:
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(tmp_path / "log"), str(me)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for me in range(4)
    ]
    try:
        assert [racer.stdout.readline() for racer in racers] == ["ready\n"] * 4
        for number in range(1, 21):
            for racer in racers:
                racer.stdin.write(f"{number}\n")
                racer.stdin.flush()
            answers = [racer.stdout.readline() for racer in racers]
            assert sorted(answers) == ["lost\n"] * 3 + ["won\n"]
            (commit,) = LocalCommitLog(tmp_path / "log").read(after=number - 1)
            assert commit.payload == b"%d" % answers.index("won\n") * 1000
    finally:
        for racer in racers:
            racer.stdin.close()
            racer.wait(timeout=30)
            racer.stdout.close()
    assert [name for name in (tmp_path / "log").iterdir() if name.name.startswith(".")] == []
