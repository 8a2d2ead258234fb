"""The embedded broker's folder, without starting a broker."""

import socket
import sys
from pathlib import Path

import pytest

from oryx_py.errors import BrokerUnavailable, UserError
from oryx_py.local import ports
from oryx_py.local.broker_home import BrokerHome, Ports
from oryx_py.local.tailing import tail

FORMATS = [
    sys.executable,
    "-c",
    """
import pathlib, re
data = pathlib.Path(re.search("log.dirs=(.*)", open("server.properties").read())[1])
data.mkdir()
(data / "meta.properties").write_text("version=1\\ncluster.id=one\\n")
""",
]
FAILS = [sys.executable, "-c", "import sys; open('data.formatting', 'w'); sys.exit('no room')"]


@pytest.fixture
def home(tmp_path: Path) -> BrokerHome:
    home = BrokerHome(tmp_path / "broker")
    home.prepare()
    return home


def test_a_folder_is_formatted_once(home: BrokerHome) -> None:
    home.format(FORMATS, timeout_s=10)
    assert home.cluster_id == "one"
    home.format(FAILS, timeout_s=10)
    assert home.cluster_id == "one"


def test_a_folder_whose_formatting_was_cut_off_is_formatted_anew(home: BrokerHome) -> None:
    with pytest.raises(BrokerUnavailable, match="could not be formatted:\nno room"):
        home.format(FAILS, timeout_s=10)
    half = home.dir / "data.formatting"
    half.unlink()
    (half / "half").mkdir(parents=True)
    home.format(FORMATS, timeout_s=10)
    assert sorted(path.name for path in (home.dir / "data").iterdir()) == ["meta.properties"]


def test_data_that_kafka_did_not_format_are_left_alone(home: BrokerHome) -> None:
    (home.dir / "data").mkdir()
    (home.dir / "data" / "holiday.jpg").touch()
    with pytest.raises(UserError, match="restore it or move it away"):
        home.format(FORMATS, timeout_s=10)
    assert (home.dir / "data" / "holiday.jpg").exists()


def test_ports_are_kept_over_restarts_while_they_are_free(home: BrokerHome) -> None:
    first = home.choose_ports(0)
    home.configure(first)
    assert home.choose_ports(0) == first
    with socket.create_server((ports.HOST, first.port)):
        other = home.choose_ports(0)
    assert other.port != first.port
    assert other.controller_port == first.controller_port


def test_a_port_that_stood_in_for_a_taken_one_is_kept(home: BrokerHome) -> None:
    with socket.create_server((ports.HOST, 0)) as server:
        wish = server.getsockname()[1]
        first = home.choose_ports(wish)
        assert first.port != wish
        home.configure(first)
    assert home.choose_ports(wish) == first


def test_a_new_wish_is_followed(home: BrokerHome) -> None:
    home.configure(home.choose_ports(0))
    wish = ports.choose(())
    assert home.choose_ports(wish).port == wish


def test_the_two_listeners_never_share_a_port(home: BrokerHome) -> None:
    free = ports.choose(())
    home.configure(Ports(asked=0, port=0, controller_port=free))
    chosen = home.choose_ports(free)
    assert chosen.port == free
    assert chosen.controller_port != free


def test_every_place_of_the_settings_is_filled(home: BrokerHome) -> None:
    home.configure(Ports(0, 1234, 5678))
    text = (home.dir / "server.properties").read_text()
    assert "listeners=PLAINTEXT://127.0.0.1:1234,CONTROLLER://127.0.0.1:5678\n" in text
    assert "$" not in text


def test_only_a_host_name_that_is_asked_for_opens_the_broker_to_other_machines(tmp_path: Path) -> None:
    home = BrokerHome(tmp_path, host="kafka")
    home.configure(Ports(0, 1234, 5678))
    text = (tmp_path / "server.properties").read_text()
    assert "listeners=PLAINTEXT://0.0.0.0:1234,CONTROLLER://127.0.0.1:5678\n" in text
    assert "advertised.listeners=PLAINTEXT://kafka:1234\n" in text


def test_the_tail_of_a_log_begins_where_this_start_did(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert tail(log, 0, 3) == []
    log.write_text("old\n1\n2\n3\n")
    assert tail(log, 4, 2) == ["2", "3"]
    assert tail(log, 4, 9) == ["1", "2", "3"]
    assert tail(log, 999, 9) == ["old", "1", "2", "3"], "a log that is shorter than it was has been rolled"
