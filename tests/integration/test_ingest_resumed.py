"""``oryx ingest`` killed in the middle, and run again: the input, without repeats, is the file."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from oryx_py.adapters.kafka import KafkaConsumer
from oryx_py.local.broker import EmbeddedBroker
from oryx_py.ports import EndOfPartition, Record
from tests.support.system import System, eventually

pytestmark = [pytest.mark.kafka, pytest.mark.xdist_group("kafka")]

HURTING = ["a/b", 'ü,"x"', "%2F", "two words", "x" * 1024]
COUNT = 6_000
BEGAN_MS = 1_700_000_000_000


def everything(system: System) -> list[Record]:
    """The input topic."""
    consumer = KafkaConsumer(str(system.settings["KAFKA__BOOTSTRAP_SERVERS"]), {}, None)
    topic = str(system.settings["INPUT__TOPIC"])
    consumer.assign({(topic, partition): 0 for partition in range(2)})
    found: list[Record] = []
    ended: set[int] = set()
    try:
        while len(ended) < 2:
            for event in consumer.poll(10_000, 1.0):
                if isinstance(event, EndOfPartition):
                    ended.add(event.partition)
                else:
                    found.append(event)
    finally:
        consumer.close()
    return found


def without_repeats(records: list[Record]) -> list[bytes]:
    """The values in force: of the records of a user with the same ID, the first."""
    seen: set[tuple[bytes | None, bytes]] = set()
    kept = []
    for record in records:
        name = record.key, dict(record.headers)["id"]
        if name not in seen:
            kept.append(record.value or b"")
        seen.add(name)
    return kept


def test_killed_in_the_middle_and_run_again_every_line_counts_once(
    kafka_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    ids = [HURTING[n] if n < len(HURTING) else f"u{n % 97}" for n in range(COUNT)]
    lines = [f'"{user.replace(chr(34), chr(34) * 2)}",i{n},1.5,{BEGAN_MS + n}' for n, user in enumerate(ids)]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    with System(tmp_path, kafka_broker.bootstrap_servers) as system:
        system.oryx("setup")
        system.start("serve")
        system.wait_up()
        arguments = ["ingest", "a.csv", "--chunk", "50"]
        progress = tmp_path / "ingest"

        def begun() -> bool:
            return progress.is_dir() and any(progress.glob("*.json"))

        running = subprocess.Popen(
            [sys.executable, "-m", "oryx_py.cli", *arguments],
            env=system.environment,
            cwd=tmp_path,
            stderr=subprocess.PIPE,
        )
        eventually(begun, 60)
        running.send_signal(signal.SIGKILL)
        running.communicate()
        assert begun(), "it was killed in the middle"
        system.kill("serve")  # and the service with it
        system.start("serve")
        system.wait_up()
        ended = system.oryx(*arguments)
        assert "going on after line" in ended.stderr
        assert ended.stdout.startswith(f"{COUNT:,} interactions stored")
        assert len(everything(system)) < 2 * COUNT, "it did not begin anew"
        system.oryx("ingest", "a.csv", "--chunk", "777")
        stored = everything(system)
    assert len(stored) > COUNT, "the last one sent everything again"
    times = sorted(int(value.rpartition(b",")[2]) for value in without_repeats(stored))
    assert times == list(range(BEGAN_MS, BEGAN_MS + COUNT))
