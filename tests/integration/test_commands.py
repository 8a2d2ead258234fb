"""The commands on a real broker."""

import uuid
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from oryx_py.adapters.kafka import KafkaProducer
from oryx_py.cli.main import app
from oryx_py.local.broker import EmbeddedBroker

pytestmark = [pytest.mark.kafka, pytest.mark.xdist_group("kafka")]


@pytest.fixture
def environ(kafka_broker: EmbeddedBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Settings with topics of this test's own."""
    monkeypatch.chdir(tmp_path)
    name = uuid.uuid4().hex
    return {
        "ORYX__KAFKA__BOOTSTRAP_SERVERS": kafka_broker.bootstrap_servers,
        "ORYX__INPUT__TOPIC": f"in-{name}",
        "ORYX__INPUT__PARTITIONS": "2",
        "ORYX__UPDATE__TOPIC": f"up-{name}",
        "ORYX__ITEMS__TOPIC": f"items-{name}",
    }


def oryx(environ: dict[str, str], *arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env=environ)


def test_setup_creates_what_is_missing_once(environ: dict[str, str]) -> None:
    looked = oryx(environ, "setup", "--check")
    assert (looked.exit_code, looked.stdout.count("is missing")) == (1, 4)
    created = oryx(environ, "setup")
    assert created.exit_code == 0
    assert created.stdout.count("created with") == 4
    assert f"{environ['ORYX__INPUT__TOPIC']} created with 2 partitions" in created.stdout
    for again in (oryx(environ, "setup"), oryx(environ, "setup", "--check")):
        assert (again.exit_code, again.stdout) == (0, "all topics are there and as they should be\n")


def test_another_number_of_partitions_is_refused_in_one_line(environ: dict[str, str]) -> None:
    oryx(environ, "setup")
    result = oryx({**environ, "ORYX__INPUT__PARTITIONS": "3"}, "setup")
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert "has 2 partitions, not 3" in result.stderr


def test_tail_shows_what_was_sent_and_ends_after_so_many(environ: dict[str, str], kafka_broker: EmbeddedBroker) -> None:
    oryx(environ, "setup")
    producer = KafkaProducer(kafka_broker.bootstrap_servers, {})
    for value in (b"ann,i1,2", b"ann,i2,", b"\x1b[2Jnonsense"):
        producer.send(environ["ORYX__INPUT__TOPIC"], value, key=b"ann", headers=(("id", b"k:1"),))
    producer.flush(20)
    producer.close()
    result = oryx(environ, "tail", "input", "--from-beginning", "-n", "3")
    assert result.exit_code == 0
    first, second, third = result.stdout.splitlines()
    assert first.endswith("ann → i1  2  id=k:1")
    assert second.endswith("ann × i2  deleted  id=k:1")
    assert "unreadable (" in third
    assert "\\x1b[2Jnonsense" in third
    raw = oryx(environ, "tail", "input", "--from-beginning", "--raw", "-n", "1")
    assert raw.stdout_bytes == b"ann\tid:k:1\tann,i1,2\n"


def test_a_topic_that_does_not_exist_is_one_line_that_says_what_creates_it(environ: dict[str, str]) -> None:
    result = oryx(environ, "tail", "update")
    assert result.exit_code == 2
    assert "run `oryx setup`" in result.stderr


def test_no_broker_on_this_machine_is_one_line(environ: dict[str, str]) -> None:
    for command in (["tail", "input"], ["setup"]):
        result = oryx({"ORYX__LOCAL__DIR": "nowhere"}, *command)
        assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
        assert "oryx up" in result.stderr
