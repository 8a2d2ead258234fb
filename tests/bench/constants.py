"""Measure the figures anew that `oryx plan` computes from, and print them beside those it has.

One Spark session on all cores prepares and trains a drawn world; seconds are CPU seconds of everything that works, so
that other load on the machine matters little. Assumptions (IDs, disk, network) are not measured.

    python -m tests.bench.constants [--interactions 2M] [--json]
"""

import argparse
import dataclasses
import json
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from batch_layer.folding.input_rows import HISTORY_SCHEMA, Slice, read_slices
from batch_layer.recipe import Recipe
from batch_layer.spark.fitting import fit_generation, publish_items, solve_users
from batch_layer.spark.preparing import Prepared, parts_for, prepare
from batch_layer.spark.rows.history_rows import read_rows
from batch_layer.spark.rows.topic_reader import write_days
from batch_layer.spark.session.opening import close_session, open_session
from batch_layer.spark.session.tasks import OnSpark, on_tasks
from oryx_py.adapters.clock import SystemClock
from oryx_py.events import Interaction, encode_csv
from oryx_py.events.fold import FoldSettings
from oryx_py.numerics.objective import Objective
from oryx_py.planning.constants import MEASURED
from oryx_py.planning.quantities import count_of
from oryx_py.ports import TopicSpec
from oryx_py.testing.fake_log import FakeConsumer, FakeLog, FakeProducer
from oryx_py.testing.long_tail import LongTail, Rows, draw
from tests.bench.batch.watching import Watch

FEATURES = (64, 256)
FOLD = FoldSettings(feedback="implicit")


def main() -> int:
    """Run the measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--interactions", default="2M", help="of the world that is drawn (2M)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    count = count_of(options.interactions, "--interactions")
    # A day's, so that as many rows are in a file as one has where much comes in.
    world = LongTail(users=max(100, count // 30), items=max(100, count // 60), interactions=count, span_ms=86_400_000)
    with tempfile.TemporaryDirectory(prefix="oryx-constants-") as folder:
        found = measure(world, Path(folder))
    known = dataclasses.asdict(MEASURED)
    if options.json:
        print(json.dumps({"measured": found, "known": known}))
        return 0
    for name, value in known.items():
        print(
            f"{name:<20}{found[name]:>12.3g}  known: {value:.3g}"
            if name in found
            else f"{name:<20}  assumed {value:.3g}"
        )
    return 0


def measure(world: LongTail, folder: Path) -> dict[str, float]:
    """Measure all of them, by the names in `Constants`."""
    rows = draw(world)
    history, keyed = folder / "history.parquet", folder / "keyed.parquet"
    # Of many users, of whom few come twice in a file: with 30 rows of each it would be half as many bytes.
    count = world.interactions
    many = draw(LongTail(users=count // 2, items=count // 10, interactions=count, span_ms=world.span_ms))
    pq.write_table(_history(many), written := folder / "many.parquet", compression="zstd")
    pq.write_table(_history(many, keyed=True), keyed, compression="zstd")
    pq.write_table(_history(rows), history, compression="zstd")
    del many
    found = {**_reading(rows), **_heaps(world)}
    spark = open_session("local[*]", {"spark.local.dir": str(folder / "spark")}, folder / "spark.log")
    try:
        found["history_bytes"] = _written(spark, written, folder / "written")
        found["history_key_bytes"] = _written(spark, keyed, folder / "keyed") - found["history_bytes"]
        found |= _on_spark(spark, history, len(rows), folder)
    finally:
        close_session(spark)
    return found


def _history(rows: Rows, partitions: int = 4, *, keyed: bool = False) -> pa.Table:
    """The rows as they would have come into a topic, with clients' times; each partition has users of its own."""
    order = np.lexsort((rows.timestamps_ms, rows.users % partitions))
    n = len(rows)
    partition = rows.users[order] % partitions
    offset = np.arange(n) - np.searchsorted(partition, partition)
    keys = np.random.default_rng(1).integers(0, 256, (n, 16), np.uint8).view("V16").reshape(-1).tolist()
    columns: list[Any] = [
        pa.array(partition.astype(np.int32)),
        pa.array(offset.astype(np.int64)),
        pa.array(rows.timestamps_ms[order]),
        pa.array(keys if keyed else [None] * n, pa.binary()),
        pa.array(np.char.add("u", rows.users[order].astype(str))),
        pa.array(np.char.add("i", rows.items[order].astype(str))),
        pa.array(rows.strengths[order].astype(np.float64)),
        pa.array(rows.timestamps_ms[order] - np.random.default_rng(2).integers(5, 2_000, n)),
        pa.nulls(n, pa.string()),
    ]
    return pa.Table.from_arrays(columns, schema=HISTORY_SCHEMA)


def _reading(rows: Rows, count: int = 50_000) -> dict[str, float]:
    """From records to columns in Python; and a record's bytes, by the format of Kafka's batches."""
    log = FakeLog()
    log.create(TopicSpec("input", 1, 1, {}))
    producer = FakeProducer(log)
    some = rows.where(slice(0, count))
    values = [
        encode_csv(Interaction(f"u{user}", f"i{item}", float(strength), int(when)))
        for user, item, strength, when in zip(*(column.tolist() for column in some[:4]), strict=True)
    ]
    for user, value in zip(some.users.tolist(), values, strict=True):
        producer.send("input", value, key=f"u{user}".encode(), partition=0)
    producer.flush(60)
    seconds = _cpu(lambda: list(read_slices(FakeConsumer(log), "input", 1, [Slice(0, 0, count)], clock=SystemClock())))
    # Lengths and deltas of a record take 10 bytes about, and a batch's head of 61 is shared by hundreds.
    size = sum(map(len, values)) / count + 8 + 10 + 0.3
    return {"topic_bytes": size, "read_python_s": seconds / count}


def _on_spark(spark: SparkSession, history: Path, rows: int, folder: Path) -> dict[str, float]:
    me = psutil.Process()
    found: dict[str, float] = {}
    _prepared(spark, history, rows, folder, "warm up")
    with Watch(me) as watch:
        into, prepared = _prepared(spark, history, rows, folder, "measured")
    found["prepare_s"] = watch.cpu_s / rows
    found["jvm_bytes"] = watch.peaks["java"]
    python = max(size for name, size in watch.peaks.items() if name != "java")
    found["prepare_task_bytes"] = python / spark.sparkContext.defaultParallelism
    found["part_bytes"] = prepared.bytes["fold"] / prepared.pairs
    spilled = sum(path.stat().st_size for path in (folder / "spark").rglob("*.data"))
    found["shuffle_bytes"] = spilled / rows / 2  # of both preparations
    size = prepared.users + prepared.items
    epochs = {features: _epoch(spark, into, prepared, features, folder) for features in FEATURES}
    matrix = np.array([[prepared.pairs * k, size * k * k] for k in FEATURES], float)
    found["train_pair_s"], found["train_row_s"] = np.linalg.solve(matrix, [epochs[k] for k in FEATURES]).tolist()
    factors = np.random.default_rng(1).standard_normal((prepared.items, FEATURES[0]), dtype=np.float32)
    publish_items(factors * np.float32(0.1), into, Objective.ials(0.1, 0.003))
    with Watch(me) as watch:
        solve_users(OnSpark(spark), into, Objective.ials(0.1, 0.003), lambda: False)
    found["solve_pair_s"] = watch.cpu_s / prepared.pairs / FEATURES[0]
    tasks = range(spark.sparkContext.defaultParallelism)
    times = []
    for _ in range(20):
        began = time.perf_counter()
        on_tasks(spark, _nothing, tasks)
        times.append(time.perf_counter() - began)
    found["round_s"] = float(np.median(times))
    return found


def _written(spark: SparkSession, rows: Path, into: Path) -> float:
    """Bytes of a row in the files that step (a) writes."""
    read = read_rows(spark, [rows.as_uri()])
    write_days(read.repartition("partition"), into.as_uri())
    return sum(path.stat().st_size for path in into.rglob("*.parquet")) / read.count()


def _prepared(spark: SparkSession, history: Path, rows: int, folder: Path, name: str) -> tuple[Path, Prepared]:
    into, work = folder / name / "into", folder / name / "work"
    into.mkdir(parents=True)
    work.mkdir()
    told = read_rows(spark, [history.as_uri()])
    prepared = prepare(spark, told, FOLD, into, work, parts=parts_for(spark, rows))
    assert prepared is not None
    return into, prepared


def _epoch(spark: SparkSession, into: Path, prepared: Prepared, features: int, folder: Path) -> float:
    """CPU seconds of an epoch: four epochs less one, over three."""

    def seconds(epochs: int) -> float:
        work, staged = (Path(tempfile.mkdtemp(dir=folder)) for _ in range(2))
        for file in into.iterdir():
            (staged / file.name).hardlink_to(file)
        recipe = Recipe("ials", features, epochs, 1, Objective.ials(0.1, 0.003), FOLD)
        with Watch(psutil.Process()) as watch:
            fit_generation(spark, staged, work, prepared, recipe)
        return watch.cpu_s

    seconds(1)
    return max(0.0, seconds(4) - seconds(1)) / 3


def _heaps(world: LongTail, users: int = 2_000) -> dict[str, float]:
    """Processes without a model, and what grows with items on their heaps."""
    from serving_layer.index.exact import ExactIndex

    factors = np.random.default_rng(1).standard_normal((world.items, 16), dtype=np.float32)
    tracemalloc.start()
    index = ExactIndex(factors)
    of_items = tracemalloc.get_traced_memory()[0] / world.items
    tracemalloc.stop()
    del index
    return {
        "serving_item_bytes": of_items + 8,  # and the popularity, int64
        "serving_bytes": _resident("serving_layer.bootstrap"),
        "speed_bytes": _resident("speed_layer.bootstrap"),
    }


def _resident(module: str) -> float:
    code = f"import {module}, psutil; print(psutil.Process().memory_info().rss)"
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout)


def _cpu(work: Callable[[], Any]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def _nothing(_: int) -> int:
    return 0


if __name__ == "__main__":
    sys.exit(main())
