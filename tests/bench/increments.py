"""What a generation reads as the history grows: twenty increments of as many rows, a generation after each.

The batch layer on Spark, a real Kafka and a folder. For each generation: the rows that it says it folded, the records
that Spark's own event log says its tasks have read of the history's files (a file that is read twice counts twice), and
seconds by step. After the last one all rows are folded once more, without a generation to fold on, for comparison.

    python -m tests.bench.increments --increments 20 --rows 50000 --json

Ends with 1 where a generation reads more of the history than the new rows times a constant, whatever there was before.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from prometheus_client import CollectorRegistry

from batch_layer.assembly import assemble
from batch_layer.recipe import recipe_of
from batch_layer.run.steps import Outcome
from batch_layer.spark.engine import SparkEngine
from batch_layer.spark.rows.topic_reader import Source
from batch_layer.spark.session.opening import open_session
from batch_layer.task_files.work_folder import WorkFolder
from batch_layer.telemetry.metrics import Metrics
from oryx_py.adapters.kafka import KafkaAdmin, KafkaProducer
from oryx_py.adapters.places import open_registry, open_store
from oryx_py.config import Settings, load
from oryx_py.local.broker import EmbeddedBroker
from oryx_py.messages import partition_of
from oryx_py.model.generations.manifest import Manifest
from oryx_py.ports import TopicSpec
from oryx_py.runtime.stopping import Stopping
from oryx_py.runtime.telemetry import configure_logging

_INPUT, _UPDATE, _PARTITIONS = "increments-input", "increments-update", 4
_TRAINER = "ials"
_PASSES = 3
"""So often may a row be looked at for one generation: for its time, for repeats, for the fold."""


def main() -> int:
    """Run it; 0 where what is read grows with what is new."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--increments", type=int, default=20)
    parser.add_argument("--rows", type=int, default=50_000, help="of an increment (50000)")
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--items", type=int, default=5_000)
    parser.add_argument("--features", type=int, default=8)
    parser.add_argument("--seed", type=int, default=6)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    configure_logging(format="json", stream=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="oryx-increments-") as folder:
        found = measure(options, Path(folder))
    machine = {"cores": os.cpu_count(), "load": os.getloadavg()[0], "python": platform.python_version()}
    if options.json:
        print(json.dumps({**found, **vars(options), "machine": machine}))
    else:
        show(found)
    return 0 if found["grows_with_what_is_new"] else 1


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Send, make a generation, and again."""
    log = folder / "events"
    log.mkdir()
    with EmbeddedBroker(folder / "broker", 0) as broker, spark_logging_to(log) as spark:
        settings = settings_of(broker.bootstrap_servers, folder, options.features)
        admin = KafkaAdmin(broker.bootstrap_servers, {})
        admin.create(TopicSpec(_INPUT, _PARTITIONS, 1, {}))
        admin.create(TopicSpec(_UPDATE, 1, 1, {}))
        rng, spans, told = np.random.default_rng(options.seed), list[tuple[float, float]](), list[dict[str, Any]]()
        for number in range(options.increments + 1):
            whole = number == options.increments
            if not whole:
                send(broker.bootstrap_servers, rng, options)
            began = time.time()
            run(settings if not whole else without_base(settings, folder), spark, force=whole)
            spans.append((began, time.time()))
            told.append(said_by(newest(settings), spans[-1][1] - began))
    for one, records in zip(told, read_in(log, spans), strict=True):
        one["records_read"] = records
    *increments, all_rows = told
    return {
        "generations": increments,
        "all_rows_at_once": all_rows,
        "folded_on": sum(bool(one["onto"]) for one in increments),
        "grows_with_what_is_new": grows_with_what_is_new(increments, options.rows),
    }


def grows_with_what_is_new(increments: Sequence[Mapping[str, Any]], rows: int) -> bool:
    """Whether each of these generations, of as many new rows, has read so much and not the history.

    The first one has nothing to fold on, and of the second half of all may be new; from the third on each one must.
    """
    found = [bool(one["onto"]) and one["records_read"] <= _PASSES * rows for one in increments[2:]]
    return bool(found) and all(found)


@contextmanager
def spark_logging_to(folder: Path) -> Iterator[Any]:
    """A Spark that writes down what its tasks read."""
    properties = {
        "spark.driver.memory": "1g",
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": folder.as_uri(),
        "spark.eventLog.compress": "false",
        "spark.eventLog.rolling.enabled": "false",
    }
    spark = open_session("local[2]", properties, folder.parent / "spark.log")
    try:
        yield spark
    finally:
        spark.stop()


def settings_of(bootstrap: str, folder: Path, features: int, **more: str) -> Settings:
    """Small models, since it is the reading that is looked at."""
    environ = {
        "ORYX__KAFKA__BOOTSTRAP_SERVERS": bootstrap,
        "ORYX__INPUT__TOPIC": _INPUT,
        "ORYX__UPDATE__TOPIC": _UPDATE,
        "ORYX__LOCAL__DIR": str(folder / "data"),
        "ORYX__MODEL__FEATURES": str(features),
        "ORYX__MODEL__ITERATIONS": "2",
        "ORYX__MODEL__PATIENCE": "0",
        **more,
    }
    return load(None, environ).settings


def without_base(settings: Settings, folder: Path) -> Settings:
    """The same, but for reading everything."""
    bootstrap = settings.kafka.bootstrap_servers
    return settings_of(bootstrap, folder, settings.model.features, ORYX__HISTORY__COMPACTED="false")


def send(bootstrap: str, rng: np.random.Generator, options: argparse.Namespace) -> None:
    """Send an increment, of long-tailed users and items."""
    users = np.minimum(rng.zipf(1.3, options.rows), options.users)
    items = np.minimum(rng.zipf(1.3, options.rows), options.items)
    producer = KafkaProducer(bootstrap, {})
    for user, item in zip(users.tolist(), items.tolist(), strict=True):
        producer.send(_INPUT, f"u{user},i{item},1".encode(), partition=partition_of(f"u{user}", _PARTITIONS))
    producer.flush(60)
    producer.close()


def run(settings: Settings, spark: Any, *, force: bool) -> None:
    """Make a generation, as the batch layer does."""
    bootstrap = settings.kafka.bootstrap_servers
    engine = SparkEngine(
        Source(_INPUT, bootstrap, {}),
        recipe_of(settings.model, _TRAINER, settings.input),
        work=WorkFolder(settings.work_dir),
        start=lambda: spark,
        end=lambda _: None,
    )
    producer = KafkaProducer(bootstrap, {})
    try:
        layer = assemble(
            settings,
            bootstrap,
            engine=engine,
            producer=producer,
            metrics=Metrics(CollectorRegistry()),
            stopping=Stopping(),
        )
        assert layer.run(force=force) is Outcome.PUBLISHED
    finally:
        producer.close()


def newest(settings: Settings) -> Manifest:
    """The manifest of what is live."""
    epoch = open_registry(settings.registry_uri).read().newest_epoch
    assert epoch is not None
    return open_store(settings.store_uri).manifest(epoch.generation)


def said_by(manifest: Manifest, seconds: float) -> dict[str, Any]:
    """What a generation says of how it was made."""
    history, training = manifest.metrics["history"], manifest.metrics["training"]
    return {
        "interactions": manifest.counts.interactions,
        "pairs": manifest.counts.pairs,
        "rows_folded": history["rows"],
        "onto": history["onto"],
        "seconds": round(seconds, 2),
        "seconds_by_step": {step: round(value, 2) for step, value in training["seconds"].items()},
    }


def read_in(folder: Path, spans: list[tuple[float, float]]) -> list[int]:
    """How many records Spark's tasks read in each of these spans of time, of files of rows."""
    (log,) = folder.iterdir()
    found = [0] * len(spans)
    for line in log.read_text(encoding="utf-8").splitlines():
        event = json.loads(line)
        if event["Event"] != "SparkListenerTaskEnd" or "Task Metrics" not in event:
            continue
        at = event["Task Info"]["Launch Time"] / 1000
        records = event["Task Metrics"]["Input Metrics"]["Records Read"]
        for number, (began, ended) in enumerate(spans):
            if began - 0.001 <= at <= ended:
                found[number] += records
    return found


def show(found: dict[str, Any]) -> None:
    """Print a line for each generation."""
    print(f"{'rows':>9} {'pairs':>9} {'folded':>9} {'read':>9} {'seconds':>8}")
    for one in [*found["generations"], found["all_rows_at_once"]]:
        figures = f"{one['interactions']:>9,} {one['pairs']:>9,} {one['rows_folded']:>9,} {one['records_read']:>9,}"
        print(f"{figures} {one['seconds']:>8.2f}  {one['seconds_by_step']}")


if __name__ == "__main__":
    sys.exit(main())
