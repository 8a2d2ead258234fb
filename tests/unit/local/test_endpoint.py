"""Which broker the layers talk to."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from oryx_py.config import Kafka, Local, Settings
from oryx_py.config.groups import History
from oryx_py.errors import BrokerUnavailable, StoreUnavailable, UserError
from oryx_py.local import locks
from oryx_py.local.broker_home import BrokerHome, broker_folder
from oryx_py.local.endpoint import located, resolve_bootstrap, running_broker
from oryx_py.local.hdfs_home import NAMENODE, HdfsHome, HdfsRunFile, hdfs_runfile
from oryx_py.local.runfile import RunFile, read_runfile, write_runfile

RUNNING = RunFile(bootstrap_servers="127.0.0.1:4321", pid=1, started_ms=1_700_000_000_000)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(local=Local(dir=str(tmp_path)))


@pytest.fixture
def home(tmp_path: Path) -> BrokerHome:
    return BrokerHome(broker_folder(tmp_path))


@pytest.fixture
def locked(home: BrokerHome) -> Iterator[None]:
    with locks.held(home.lock, 0):
        yield


def test_a_cluster_that_was_named_is_taken_as_it_is(tmp_path: Path) -> None:
    named = Settings(kafka=Kafka(bootstrap_servers="a:1,b:2"), local=Local(dir=str(tmp_path)))
    assert resolve_bootstrap(named) == "a:1,b:2"


@pytest.mark.usefixtures("locked")
def test_the_broker_of_this_machine_is_found_by_its_run_file(settings: Settings, home: BrokerHome) -> None:
    write_runfile(home.runfile, RUNNING)
    assert resolve_bootstrap(settings) == "127.0.0.1:4321"
    assert running_broker(settings.local_dir) == RUNNING


def test_without_a_broker_one_line_says_how_to_start_one(settings: Settings, home: BrokerHome) -> None:
    with pytest.raises(UserError, match=r"no broker runs for .*: start one with `oryx broker`") as error:
        resolve_bootstrap(settings)
    assert "\n" not in str(error.value)
    assert not home.dir.exists(), "looking makes no folders"


def test_a_run_file_whose_broker_is_gone_is_not_believed(settings: Settings, home: BrokerHome) -> None:
    """Its process number is 1 here: such a process does run, and is no broker."""
    with locks.held(home.lock, 0):
        write_runfile(home.runfile, RUNNING)
    with pytest.raises(UserError, match="no broker runs"):
        resolve_bootstrap(settings)
    assert running_broker(settings.local_dir) is None


@pytest.mark.usefixtures("locked")
def test_a_broker_that_is_starting_is_worth_waiting_for(settings: Settings) -> None:
    with pytest.raises(BrokerUnavailable, match="is starting"):
        resolve_bootstrap(settings)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"bootstrap_servers": 5}'])
def test_what_is_no_run_file_is_ignored(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broker.json"
    path.write_bytes(content)
    assert read_runfile(path) is None


def test_run_files_round_trip_and_leave_nothing_beside_them(tmp_path: Path) -> None:
    write_runfile(tmp_path / "broker.json", RUNNING)
    assert read_runfile(tmp_path / "broker.json") == RUNNING
    assert [path.name for path in tmp_path.iterdir()] == ["broker.json"]


class TestHdfs:
    """With ``local.hdfs``, places that were not set are in the HDFS of this machine."""

    @pytest.fixture
    def settings(self, tmp_path: Path) -> Settings:
        return Settings(local=Local(dir=str(tmp_path), hdfs=True))

    @pytest.fixture
    def running(self, tmp_path: Path) -> Iterator[None]:
        with locks.held(HdfsHome(tmp_path, NAMENODE).lock, 0):
            content = HdfsRunFile("127.0.0.1:8021", "http://127.0.0.1:9871", 1)
            hdfs_runfile(tmp_path).write_bytes(msgspec.json.encode(content))
            yield

    @pytest.mark.usefixtures("running")
    def test_it_is_found_by_its_run_file(self, settings: Settings) -> None:
        found = located(settings)
        assert found.store_uri == found.registry_uri == "hdfs://127.0.0.1:8021/oryx/store"
        assert found.history_uri == "hdfs://127.0.0.1:8021/oryx/history"
        assert (found.hdfs.webhdfs_url, found.hdfs.replication) == ("http://127.0.0.1:9871", 1)
        assert located(found) is found

    @pytest.mark.usefixtures("running")
    def test_a_place_that_was_set_stays(self, settings: Settings, tmp_path: Path) -> None:
        found = located(msgspec.structs.replace(settings, history=History(uri=str(tmp_path / "history"))))
        assert found.history_uri == str(tmp_path / "history")
        assert found.store_uri.startswith("hdfs://127.0.0.1:8021/")

    def test_where_none_runs_one_line_says_how_to_start_one(self, settings: Settings) -> None:
        with pytest.raises(UserError, match=r"no HDFS runs for .*: start one with `oryx hdfs` or `oryx up --hdfs`"):
            located(settings)

    def test_one_that_is_starting_is_worth_waiting_for(self, settings: Settings, tmp_path: Path) -> None:
        with locks.held(HdfsHome(tmp_path, NAMENODE).lock, 0), pytest.raises(StoreUnavailable, match="is starting"):
            located(settings)

    def test_without_it_nothing_changes(self, tmp_path: Path) -> None:
        settings = Settings(local=Local(dir=str(tmp_path)))
        assert located(settings) is settings
