"""One training in each way, and what it takes: alone, in rounds, in blocks, and in blocks with little memory a task.

    python -m tests.bench.ways --world 810k --features 64 --epochs 15 --rounds 3 --json

Each round opens a session a way, trains once to warm it up, and measures the second time, in turn: seconds and CPU
seconds of all processes. With ``--store`` blocks once more where tasks meet in a store (fsspec's, or HDFS with
``--webhdfs``). Ends with 1 where two ways differ by a bit.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import psutil

from batch_layer.recipe import Recipe, recipe_of
from batch_layer.spark.fitting import TASK_BYTES, TRAINING_TASKS, fit_generation
from batch_layer.spark.preparing import Prepared
from batch_layer.spark.session.opening import close_session, open_session
from batch_layer.task_files.store_exchange import StoreExchange
from batch_layer.training.blocks import cut_sides, least_task_bytes
from batch_layer.training.job import Job
from oryx_py.adapters.places import Reach
from oryx_py.config import Input, Model
from oryx_py.model.generations.history_files import history_files
from oryx_py.runtime.telemetry import configure_logging
from tests.bench.batch.samples import WORLDS, world_sample
from tests.bench.batch.watching import Watch

_LITTLE = 0.05
"""Of what the larger side's portions would take in one piece, beyond the least, in "blocks, little memory"."""


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", choices=list(WORLDS), default="810k")
    parser.add_argument("--features", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--store", help="a URI, as batch.work_dir")
    parser.add_argument("--webhdfs", default="", help="as hdfs.webhdfs_url")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    configure_logging(format="json", stream=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="oryx-ways-") as folder:
        found = measure(options, Path(folder))
    print(json.dumps({**vars(options), **found}) if options.json else shown(found))
    return 0 if found["same_bits"] else 1


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Train in each way in turn."""
    sizes = write_world(folder / "prepared", options.world)
    given = Model(features=options.features, iterations=options.epochs, patience=0)
    recipe = recipe_of(given, "ials", Input())
    job = Job(folder / "prepared", folder, sizes.users, sizes.items, recipe)
    little = least_task_bytes(job) + int(_LITTLE * 4 * options.features * max(sizes.users, sizes.items))
    ways = {"alone": ("one", 0), "rounds": ("many", 0), "blocks": ("blocks", 0), "blocks, little": ("blocks", little)}
    if options.store:
        ways["blocks, store"] = ("auto", 0)
    told: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    items: dict[str, bytes] = {}
    for number in range(options.rounds):
        for way, (tasks, task_bytes) in ways.items():
            exchange = None
            if way == "blocks, store":
                place = f"{options.store.rstrip('/')}/{os.getpid()}-{number}"
                exchange = StoreExchange(place, Reach(webhdfs_url=options.webhdfs, replication=1))
            into = folder / f"{way}-{number}".replace(", ", "-")
            told[way].append(train(into, folder / "prepared", sizes, recipe, tasks, task_bytes, exchange))
            items[way] = (into / "items.npy").read_bytes() + (into / "users.npy").read_bytes()
    portions = sum(len(group.portions) for side in cut_sides(job, tasks=2, task_bytes=little) for group in side)
    return {
        "ways": {way: {key: [one[key] for one in runs] for key in runs[0]} for way, runs in told.items()},
        "median": {
            way: {key: statistics.median(one[key] for one in runs) for key in runs[0]} for way, runs in told.items()
        },
        "little_bytes": little,
        "little_portions": portions,
        "same_bits": len(set(items.values())) == 1,
        "pairs": sizes.pairs,
    }


def train(
    into: Path,
    prepared: Path,
    sizes: Prepared,
    recipe: Recipe,
    tasks: str,
    task_bytes: int,
    exchange: StoreExchange | None,
) -> dict[str, float]:
    """Train twice in a session of its own; returns what the second one took."""
    properties = {TRAINING_TASKS: tasks, TASK_BYTES: str(task_bytes), "spark.driver.memory": "1g"}
    spark = open_session("local[*]", properties, into.with_suffix(".log"))
    try:
        for name, epochs in (("warm", 1), ("", recipe.iterations)):
            here, work = into / name, into / f"work{name}"
            for directory in (here, work):
                directory.mkdir(parents=True, exist_ok=True)
            for file in prepared.iterdir():
                (here / file.name).hardlink_to(file)
            how = msgspec.structs.replace(recipe, iterations=epochs)
            began = time.perf_counter()
            with Watch(psutil.Process()) as watch:
                fitted = fit_generation(
                    spark, here, work, sizes, how, exchange=exchange and exchange.below(name or "x")
                )
            total = time.perf_counter() - began
    finally:
        close_session(spark)
    handed = fitted.seconds.get("hand_out", 0.0)
    seconds = {"train_s": fitted.seconds["train"], "solve_s": fitted.seconds["solve"], "hand_out_s": handed}
    return {**seconds, "total_s": total, "cpu_s": watch.cpu_s, "peak_bytes": float(watch.peak_bytes)}


def write_world(into: Path, name: str) -> Prepared:
    """Draw a world into the files of a prepared generation."""
    sample, _ = world_sample(WORLDS[name])
    into.mkdir()
    for side, rows in (("users", sample.train), ("items", sample.train.transposed(sample.items))):
        for file, array in zip(history_files(side), (rows.indptr, rows.indices, rows.strengths), strict=True):
            np.save(into / file, array)
    return Prepared(sample.users, sample.items, sample.train.pairs)


def shown(found: dict[str, Any]) -> str:
    """Return a line a way."""
    lines = [f"{way:16} {told}" for way, told in found["median"].items()]
    return "\n".join([*lines, f"the same bits: {found['same_bits']}"])


if __name__ == "__main__":
    raise SystemExit(main())
