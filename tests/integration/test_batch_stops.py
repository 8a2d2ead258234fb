"""SIGTERM ends the batch layer within seconds, wherever it is, with Spark, and nothing half done is left."""

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from oryx_py.adapters.kafka import KafkaProducer
from oryx_py.adapters.places import history_log, open_registry, open_store
from oryx_py.messages import partition_of
from tests.support.system import System, eventually

pytestmark = [pytest.mark.kafka, pytest.mark.spark, pytest.mark.xdist_group("spark"), pytest.mark.timeout(900)]

STOP_S = 20.0
"""Measured: 2 s on an idle machine; those that run tests are shared. Without the signal it would be hours."""


@contextmanager
def endless(kafka_broker: Any, folder: Path) -> Iterator[System]:
    """A system with input, whose training would take hours."""
    endless_training = {"MODEL__ITERATIONS": 1_000_000, "MODEL__PATIENCE": 0, "BATCH__SPARK_MASTER": "local[1]"}
    with System(folder, kafka_broker.bootstrap_servers, **endless_training) as made:
        made.oryx("setup")
        producer = KafkaProducer(kafka_broker.bootstrap_servers, {})
        for n in range(400):
            user = f"u{n % 40}"
            topic = str(made.settings["INPUT__TOPIC"])
            producer.send(topic, f"{user},i{n % 23},1".encode(), partition=partition_of(user, 2))
        producer.flush(30)
        producer.close()
        yield made


def ended(process: "subprocess.Popen[bytes]") -> float:
    """Send SIGTERM, and return after how many seconds the process and all that it had started are gone."""
    family = psutil.Process(process.pid).children(recursive=True)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    psutil.wait_procs(family, timeout=STOP_S)
    left = [each for each in family if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]
    assert not left, left
    return time.monotonic() - began


def test_it_ends_in_the_start_of_spark_and_in_training_and_leaves_nothing_half_done(
    kafka_broker: Any, tmp_path: Path
) -> None:
    with endless(kafka_broker, tmp_path) as system:
        check(system)


def check(system: System) -> None:
    log, store = system.folder / "batch.log", open_store(str(system.folder / "store"))

    def logged(what: str) -> bool:
        return log.exists() and what in log.read_text()

    process = system.start("batch")
    eventually(lambda: logged("spark_starting"), 60)
    time.sleep(1.5)
    assert ended(process) < STOP_S
    assert history_log(str(system.folder / "history")).read().number == 0

    process = system.start("batch", "--once")
    eventually(lambda: logged('"step":"train"'), 600)
    told = system.oryx("batch", "--once", "--no-wait", check=False)
    assert told.returncode == 2
    assert f"process {process.pid} on" in told.stderr
    time.sleep(1.0)
    assert ended(process) < STOP_S
    assert "run_stopped" in log.read_text()
    assert (store.generations(), store.incomplete()) == ([], [])
    assert open_registry(str(system.folder / "store")).read().epochs == ()
    history = history_log(str(system.folder / "history")).read()
    assert (history.number, history.rows) == (1, 400)
    (work,) = (system.folder / "work").iterdir()
    assert [path.name for path in work.iterdir() if not path.name.startswith("spark-")] == []
