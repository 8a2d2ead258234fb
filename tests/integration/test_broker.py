"""The embedded broker is a real Kafka: its data, its port and its folder survive what happens to processes."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from oryx_py.errors import BrokerUnavailable, UserError
from oryx_py.local import jars, locks, ports
from oryx_py.local.broker import EmbeddedBroker
from oryx_py.local.broker_home import BrokerHome, Ports
from oryx_py.local.java import find_java
from oryx_py.local.runfile import read_runfile

pytestmark = [pytest.mark.kafka, pytest.mark.xdist_group("broker")]

START_S = 120.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("local")


@pytest.fixture(scope="module")
def restarted(folder: Path) -> Iterator[EmbeddedBroker]:
    broker = EmbeddedBroker(folder / "broker", port=0)
    yield broker
    broker.stop()


@pytest.fixture
def broker(restarted: EmbeddedBroker) -> EmbeddedBroker:
    """A running one, which a test may stop or kill, though not damage."""
    restarted.start(START_S)
    return restarted


def write(broker: EmbeddedBroker, topic: str, values: list[bytes], *, create: bool = True) -> None:
    if create:
        admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
        admin.create_topics([NewTopic(topic, num_partitions=1)])[topic].result(30)
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "enable.idempotence": True, "log_level": 0})
    for value in values:
        producer.produce(topic, value, partition=0)
    assert producer.flush(30) == 0


def read(broker: EmbeddedBroker, topic: str, count: int) -> list[bytes]:
    consumer = Consumer({"bootstrap.servers": broker.bootstrap_servers, "group.id": uuid.uuid4().hex})
    consumer.assign([TopicPartition(topic, 0, 0)])
    try:
        return [message.value() for message in consumer.consume(count, timeout=30)]
    finally:
        consumer.close()


def pid(broker: EmbeddedBroker) -> int:
    assert broker.process is not None
    return broker.process.pid


def test_data_and_port_survive_a_restart(broker: EmbeddedBroker) -> None:
    where = broker.bootstrap_servers
    write(broker, "kept", [b"a", b"b"])
    broker.stop()
    assert not broker.alive
    broker.start(START_S)
    assert broker.bootstrap_servers == where
    assert read(broker, "kept", 2) == [b"a", b"b"]


def test_what_was_acknowledged_survives_kill_9(broker: EmbeddedBroker) -> None:
    write(broker, "acknowledged", [b"before"])
    broker.process.kill()
    broker.process.wait()
    broker.start(START_S)
    write(broker, "acknowledged", [b"after"], create=False)
    assert read(broker, "acknowledged", 2) == [b"before", b"after"]


def test_taken_ports_are_replaced_by_free_ones_and_the_data_move_along(broker: EmbeddedBroker, folder: Path) -> None:
    write(broker, "moved", [b"a"])
    broker.stop()
    former = json.loads((folder / "broker" / "ports.json").read_bytes())
    with (
        socket.create_server((ports.HOST, former["port"])),
        socket.create_server((ports.HOST, former["controller_port"])),
    ):
        broker.start(START_S)
        assert broker.bootstrap_servers != f"{ports.HOST}:{former['port']}"
        assert read(broker, "moved", 1) == [b"a"]


def test_a_port_lost_between_the_look_and_the_bind_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    choose = BrokerHome.choose_ports
    with socket.create_server((ports.HOST, 0)) as rival:
        rival_port = rival.getsockname()[1]
        unlucky = iter([Ports(0, rival_port, ports.choose(()))])
        monkeypatch.setattr(BrokerHome, "choose_ports", lambda home, asked: next(unlucky, None) or choose(home, asked))
        with EmbeddedBroker(tmp_path / "broker", port=0) as broker:
            assert broker.bootstrap_servers != f"{ports.HOST}:{rival_port}"


def test_a_second_broker_on_the_same_folder_is_refused(broker: EmbeddedBroker, folder: Path) -> None:
    second = EmbeddedBroker(folder / "broker", port=0)
    with pytest.raises(UserError, match=rf"in use by the broker {broker.bootstrap_servers} \(process {pid(broker)}\)"):
        second.start(START_S)
    second.stop()
    assert broker.alive
    assert read_runfile(folder / "broker.json").pid == pid(broker)


def test_the_run_file_names_the_broker_while_it_runs(broker: EmbeddedBroker, folder: Path) -> None:
    runfile = read_runfile(folder / "broker.json")
    assert (runfile.bootstrap_servers, runfile.pid) == (broker.bootstrap_servers, pid(broker))
    broker.stop()
    assert not (folder / "broker.json").exists()


def test_a_stale_run_file_harms_neither_the_start_nor_the_process_it_names(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as bystander:
        (tmp_path / "broker.json").write_text(
            json.dumps({"bootstrap_servers": "127.0.0.1:1", "pid": bystander.pid, "started_ms": 1})
        )
        with EmbeddedBroker(tmp_path / "broker", port=0) as broker:
            assert read_runfile(tmp_path / "broker.json").pid == pid(broker)
        assert bystander.poll() is None
        bystander.kill()


def test_a_start_that_fails_shows_the_end_of_the_log_and_leaves_no_process(
    broker: EmbeddedBroker, folder: Path, tmp_path: Path
) -> None:
    broker.stop()
    shutil.copytree(folder / "broker", tmp_path / "broker")
    meta = tmp_path / "broker" / "data" / "meta.properties"
    meta.write_text(re.sub("node.id=1", "node.id=7", meta.read_text()))
    failing = EmbeddedBroker(tmp_path / "broker", port=0)
    with pytest.raises(BrokerUnavailable, match=r"(?s)ended while starting \(exit code 1\).*broker\.log:\n.*node ?id"):
        failing.start(START_S)
    assert failing.process is None
    assert not locks.is_held(tmp_path / "broker" / "lock")


def test_folders_with_awkward_names_are_fine(tmp_path: Path) -> None:
    with EmbeddedBroker(tmp_path / "naïve, or: not=\\so $simple" / "broker", port=0) as broker:
        write(broker, "named", [b"a"])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a child of its parent's death")
def test_the_broker_dies_with_a_killed_parent_and_its_folder_is_free(
    tmp_path: Path, eventually: Callable[..., None]
) -> None:
    program = (
        "import pathlib, signal, sys; from oryx_py.local.broker import EmbeddedBroker\n"
        "broker = EmbeddedBroker(pathlib.Path(sys.argv[1]), port=0); broker.start(120)\n"
        "print(broker.process.pid, flush=True); signal.pause()"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "broker")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        kafka = int(parent.stdout.readline())
        assert psutil.Process(kafka).is_running()
        parent.kill()
    eventually(lambda: not locks.is_held(tmp_path / "broker" / "lock"))
    with EmbeddedBroker(tmp_path / "broker", port=0) as heir:
        assert heir.alive


def test_the_installed_jars_are_the_ones_in_the_lock(kafka_broker: EmbeddedBroker) -> None:
    """Sizes are compared at every start; contents when they were fetched, and here."""

    def never(*_: object) -> None:
        raise AssertionError("fetched again")

    lock = jars.read_lock()
    for path, jar in zip(jars.resolve_jars(find_java(), fetch=never).files, lock, strict=True):
        jars._verify(path, jar)


def test_kafkas_own_console_consumer_is_among_the_jars(kafka_broker: EmbeddedBroker) -> None:
    write(kafka_broker, topic := f"console-{uuid.uuid4().hex}", [b"hello"])
    java = find_java()
    consumer = [java.path, "-cp", jars.resolve_jars(java).classpath, "org.apache.kafka.tools.consumer.ConsoleConsumer"]
    topic_from_start = ["--bootstrap-server", kafka_broker.bootstrap_servers, "--topic", topic, "--from-beginning"]
    run = subprocess.run(
        [*consumer, *topic_from_start, "--max-messages", "1"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=os.environ | {"LC_ALL": "C.UTF-8"},
    )
    assert run.stdout == "hello\n"
