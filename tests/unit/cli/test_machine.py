"""Which programs make up a machine, what is looked at before, and that a demo's leaves nothing."""

import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

import pytest

from oryx_py.cli import machine
from oryx_py.cli.demo import machine as demo_machine
from oryx_py.cli.demo.machine import Machine, temporary_machine
from oryx_py.cli.screen import Screen
from oryx_py.cli.setup import _on_loopback
from oryx_py.config import load
from oryx_py.errors import NotReady, OryxError, UserError
from oryx_py.local import locks
from oryx_py.local.child import Child


def test_everything_starts_in_order_with_the_broker_first(tmp_path: Path) -> None:
    config = tmp_path / "oryx.toml"
    config.touch()
    programs = machine.children(load(config, {}).settings, machine.LAYERS, config, {"A": "b"})
    assert [program.name for program in programs] == ["broker", "batch", "speed", "serve"]
    for program in programs:
        assert program.command == [sys.executable, "-m", "oryx_py.cli", "--config", str(config), program.name]
        assert program.environ == {"A": "b"}


def test_layers_without_a_port_of_their_own_get_a_free_one_for_status() -> None:
    settings = load(None, {"ORYX__SPEED__METRICS_HOST": "0.0.0.0", "ORYX__SPEED__METRICS_PORT": "9101"}).settings
    found, environ = machine.addresses(settings, ["batch", "speed", "serve"])
    port = environ["ORYX__BATCH__METRICS_PORT"]
    assert found == {"batch": f"127.0.0.1:{port}", "speed": "127.0.0.1:9101", "serve": "127.0.0.1:8080"}
    assert environ == {"ORYX__BATCH__METRICS_HOST": "127.0.0.1", "ORYX__BATCH__METRICS_PORT": port}
    assert list(machine.addresses(settings, ["speed"])[0]) == ["speed"]


def test_a_cluster_needs_no_broker_and_no_settings_file_is_made_up() -> None:
    settings = load(None, {"ORYX__KAFKA__BOOTSTRAP_SERVERS": "kafka:9092"}).settings
    (program,) = machine.children(settings, ["speed"], None, {})
    assert program.command == [sys.executable, "-m", "oryx_py.cli", "speed"]


def test_hdfs_starts_after_the_broker_and_before_the_layers(tmp_path: Path) -> None:
    """Its two servers each by themselves, so that one that dies is started again alone; a second one is refused."""
    environ = {"ORYX__LOCAL__HDFS": "true", "ORYX__LOCAL__DIR": str(tmp_path), "ORYX__SERVING__PORT": "0"}
    settings = load(None, environ).settings
    programs = machine.children(settings, machine.LAYERS, None, {})
    assert [program.name for program in programs] == ["broker", "namenode", "datanode", "batch", "speed", "serve"]
    assert [list(program.command[3:]) for program in programs[1:3]] == [["hdfs", "namenode"], ["hdfs", "datanode"]]
    assert all(program.ready is not None and not program.ready() for program in programs[1:3])
    lock = locks.take(tmp_path / "hdfs" / "namenode" / "lock", 0)
    assert lock is not None
    with pytest.raises(UserError, match="an HDFS already runs"):
        machine.check_free(settings)
    os.close(lock)


def test_a_port_that_is_taken_is_said_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        settings = load(None, {"ORYX__SERVING__PORT": str(port), "ORYX__LOCAL__DIR": str(tmp_path)}).settings
        with pytest.raises(UserError, match=f"port {port} is taken: choose another"):
            machine.check_free(settings)


def test_a_second_machine_in_one_folder_is_refused(tmp_path: Path) -> None:
    environ = {"ORYX__LOCAL__DIR": str(tmp_path), "ORYX__SERVING__PORT": "0"}
    lock = locks.take(tmp_path / "broker" / "lock", 0)
    assert lock is not None
    try:
        with pytest.raises(UserError, match="a broker already runs in"):
            machine.check_free(load(None, environ).settings)
        machine.check_free(load(None, {**environ, "ORYX__KAFKA__BOOTSTRAP_SERVERS": "kafka:9092"}).settings)
    finally:
        os.close(lock)
    machine.check_free(load(None, environ).settings)


@pytest.mark.parametrize(
    ("servers", "expected"),
    [("127.0.0.1:9092", True), ("localhost:1,[::1]:2", True), ("kafka:9092", False), ("127.0.0.1:1,kafka:2", False)],
)
def test_replicas_are_warned_about_where_brokers_are_not_this_machine(servers: str, expected: bool) -> None:
    assert _on_loopback(servers) is expected


SLEEPS = [sys.executable, "-c", "import time; print('hello', flush=True); time.sleep(60)"]


@pytest.fixture
def screen() -> Screen:
    return Screen(StringIO(), StringIO())


@pytest.fixture
def pids(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[int]:
    """The processes of a demo whose programs only sleep; its folder lies in ``tmp_path``."""
    seen: list[int] = []
    script = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(60)"

    def ready() -> bool:
        text = (tmp_path / "pid").read_text() if (tmp_path / "pid").exists() else ""
        seen.extend([int(text)] if text else [])
        return bool(text)

    programs = [Child(name="speed", command=[sys.executable, "-c", script], ready=ready)]
    monkeypatch.setattr(machine, "children", lambda *_: programs)
    monkeypatch.setattr(demo_machine, "fetch_jars", lambda _: None)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return seen


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@contextmanager
def a_demo(screen: Screen, *, keep: bool = False) -> Iterator[Machine]:
    with temporary_machine(screen, {"features": 8}, keep=keep) as here:
        yield here


def test_a_demo_has_settings_of_its_own_whatever_the_user_has(
    screen: Screen, pids: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORYX__KAFKA__BOOTSTRAP_SERVERS", "production:9092")
    with a_demo(screen) as here:
        assert here.settings.kafka.bootstrap_servers == "local"
        assert here.settings.model.features == 8
        assert here.settings.local_dir.parent == here.folder
        assert not [name for name in os.environ if name.startswith("ORYX__")]
        assert load(here.config, {}).settings == here.settings
    assert os.environ["ORYX__KAFKA__BOOTSTRAP_SERVERS"] == "production:9092"


@pytest.mark.parametrize("end", [None, OryxError("no"), KeyboardInterrupt(), SystemExit(143)], ids=type)
def test_however_a_demo_ends_its_programs_and_its_folder_are_gone(
    screen: Screen, pids: list[int], end: BaseException | None
) -> None:
    threads, interrupted = set(threading.enumerate()), signal.getsignal(signal.SIGINT)
    folder = Path()

    def play() -> None:
        nonlocal folder
        with a_demo(screen) as here:
            folder = here.folder
            assert alive(pids[0])
            if end is not None:
                raise end

    if end is None:
        play()
    else:
        with pytest.raises(type(end)):
            play()
    assert not alive(pids[0])
    assert not folder.exists()
    assert not set(threading.enumerate()) - threads
    assert signal.getsignal(signal.SIGINT) is interrupted


def test_sigterm_ends_a_demo_in_order(screen: Screen, pids: list[int]) -> None:
    former = signal.getsignal(signal.SIGTERM)

    def play() -> None:
        with a_demo(screen):
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(SystemExit, match="143"):
        play()
    assert not alive(pids[0])
    assert signal.getsignal(signal.SIGTERM) is former


def test_a_demo_can_leave_its_logs(screen: Screen, pids: list[int]) -> None:
    with a_demo(screen, keep=True) as here:
        pass
    assert (here.folder / "logs" / "speed.log").exists()


def test_programs_that_do_not_get_ready_end_the_demo(
    screen: Screen, pids: list[int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = Child(name="speed", command=SLEEPS, ready=lambda: False, ready_timeout_s=0.3)
    monkeypatch.setattr(machine, "children", lambda *_: [program])
    with pytest.raises(NotReady, match="speed was not ready"), a_demo(screen):
        pass
    assert list(tmp_path.glob("oryx-demo-*")) == []


def test_a_training_that_fails_shows_the_end_of_its_output(
    screen: Screen, pids: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = [sys.executable, "-c", "print('no Spark today'); raise SystemExit(3)"]
    monkeypatch.setattr(machine, "command", lambda *_: failing)
    with a_demo(screen) as here, pytest.raises(OryxError, match=r"exit code 3.*\n.*no Spark today"):
        here.train(lambda: None)


def test_a_training_that_is_interrupted_is_ended(
    screen: Screen, pids: list[int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    trained = tmp_path / "training"
    script = f"import os, time; open({str(trained)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    monkeypatch.setattr(machine, "command", lambda *_: [sys.executable, "-c", script])

    def waiting() -> None:
        if trained.exists() and trained.read_text():
            raise KeyboardInterrupt

    with a_demo(screen) as here, pytest.raises(KeyboardInterrupt):
        here.train(waiting)
    assert not alive(int(trained.read_text()))
