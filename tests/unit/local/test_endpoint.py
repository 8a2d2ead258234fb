"""Which broker the layers talk to."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from oryx_py.config import Kafka, Local, Settings
from oryx_py.errors import BrokerUnavailable, UserError
from oryx_py.local import locks
from oryx_py.local.broker_home import BrokerHome, broker_folder
from oryx_py.local.endpoint import resolve_bootstrap, running_broker
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
