"""A large world through the whole batch path on this machine: what each step takes, and whether it stays in memory.

`oryx world` invents it, `oryx history import` takes it in, `oryx batch --once` trains and writes the generation, each a
process of its own; then the generation's factors rank for the users of whom something is held out. For each step:
seconds, CPU seconds, the peak of memory by program (proportional set size: mapped pages that are in memory count) and
whether the machine swapped; of the batch run also its own steps, from the manifest.

    python -m tests.bench.large --users 2M --items 200K --interactions 100M --features 64 --folder /big/disk/large

Needs some 25 GB of disk for a hundred million. With --keep the folder stays, and a second call goes on with the world
that is there.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import psutil
import pyarrow.parquet as pq

from oryx_py.adapters.places import open_registry, open_store
from oryx_py.model.generations.generation import Generation
from oryx_py.planning.quantities import show_bytes, show_seconds
from oryx_py.testing.long_tail import LongTail
from tests.bench.batch.watching import Watch

ORYX = [sys.executable, "-m", "oryx_py.cli"]

SETTINGS = """
[local]
dir = "{folder}/data"

[batch]
trainer = "ials"

[batch.spark]
"spark.driver.memory" = "{options.driver_memory}"

[model]
features = {options.features}
iterations = {options.epochs}
patience = 0
unobserved_weight = {options.alpha0}
lambda = {options.lambda_}
nu = {options.nu}
"""


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", default="2M")
    parser.add_argument("--items", default="200K")
    parser.add_argument("--interactions", default="100M")
    parser.add_argument("--features", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--alpha0", type=float, default=0.1, help="model.unobserved_weight (0.1)")
    parser.add_argument("--lambda", dest="lambda_", type=float, default=0.003, help="model.lambda (0.003)")
    parser.add_argument("--nu", type=float, default=1.0, help="model.nu (1)")
    parser.add_argument("--driver-memory", default="2g", help="spark.driver.memory (2g)")
    parser.add_argument("--folder", type=Path, help="for everything; a temporary one if not given")
    parser.add_argument("--keep", action="store_true", help="leave the folder as it is in the end")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="oryx-large-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        found = measure(options, folder.resolve())
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
    if options.json:
        print(json.dumps(found))
    else:
        show(found)
    return 0 if all(step["exit"] == 0 and not step["swapped"] for step in found["steps"].values()) else 1


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Do the steps one after the other."""
    (folder / "oryx.toml").write_text(SETTINGS.format(options=options, folder=folder))
    world = folder / "world"
    steps: dict[str, Any] = {}
    if not (world / "world.json").exists():
        shutil.rmtree(world, ignore_errors=True)
        size = [f"--{name}={getattr(options, name)}" for name in ("users", "items", "interactions")]
        steps["world"] = step(["world", *size, "--out", str(world)], folder)
    broker = subprocess.Popen([*ORYX, "broker"], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until_it_answers(broker, folder)
        files = sorted(str(path) for path in (world / "interactions").glob("*.parquet"))
        steps["import"] = step(["history", "import", "--format", "parquet", *files], folder)
        steps["batch"] = step(["batch", "--once"], folder)
    finally:
        broker.terminate()
        broker.wait(60)
    described = msgspec.json.decode((world / "world.json").read_bytes(), type=LongTail)
    return {
        "cores": os.cpu_count(),
        "memory": psutil.virtual_memory().total,
        "steps": steps,
        **quality(folder, described),
    }


def until_it_answers(broker: "subprocess.Popen[bytes]", folder: Path) -> None:
    """Make the topics, as soon as the broker is there."""
    deadline = time.monotonic() + 300
    while subprocess.run([*ORYX, "setup"], check=False, cwd=folder, capture_output=True).returncode:
        if broker.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"the broker did not start; its log is in {folder}/data/broker/logs")
        time.sleep(1)


def step(command: list[str], folder: Path) -> dict[str, Any]:
    """Run a command, its output to this one's standard error."""
    began = time.perf_counter()
    process = subprocess.Popen([*ORYX, *command], cwd=folder, stdout=sys.stderr)
    with Watch(psutil.Process(process.pid)) as watch:
        code = process.wait()
    return {
        "exit": code,
        "seconds": round(time.perf_counter() - began, 1),
        "cpu_s": round(watch.cpu_s, 1),
        "peak_bytes": watch.peak_bytes,
        "peaks_bytes": watch.peaks,
        "swapped": watch.swapped,
    }


def quality(folder: Path, world: LongTail) -> dict[str, Any]:
    """nDCG@10 of the generation for the users of whom something is held out, what they know left out."""
    store = str(folder / "data" / "store")
    newest = open_registry(store).read().newest_epoch
    assert newest is not None, "no generation was published"
    generation = Generation.open(open_store(store).local(newest.generation), "sizes")
    table = pq.read_table(folder / "world" / "held-out")
    users, places = np.unique(table.column("user").to_numpy(zero_copy_only=False), return_inverse=True)
    rows, items = (
        side.find_many(list(names))
        for side, names in ((generation.users, users), (generation.items, table.column("item").to_pylist()))
    )
    discounts = 1 / np.log2(np.arange(2, 12))
    popularity = np.diff(generation.item_histories.indptr).astype(np.float32)
    gains: dict[str, list[float]] = {"ndcg_at_10": [], "popularity_ndcg": []}
    by_user = np.argsort(places, kind="stable")
    edges = np.searchsorted(places[by_user], np.arange(len(users) + 1))
    for number, row in enumerate(rows.tolist()):
        if row < 0:
            continue
        targets = items[by_user[edges[number] : edges[number + 1]]]
        known, _ = generation.user_histories.row(row)
        for name, scores in (
            ("ndcg_at_10", generation.item_factors @ generation.user_factors[row]),
            ("popularity_ndcg", popularity.copy()),
        ):
            scores[known] = -np.inf
            top = np.argpartition(scores, -10)[-10:]
            hits = np.isin(top[np.argsort(-scores[top], kind="stable")], targets)
            gains[name].append(float(discounts[hits].sum() / discounts[: len(targets)].sum()))
    manifest = generation.manifest
    return {
        "tested_users": len(gains["ndcg_at_10"]),
        **{name: round(float(np.mean(each)), 4) for name, each in gains.items()},
        "counts": msgspec.to_builtins(manifest.counts),
        "metrics": msgspec.to_builtins(manifest.metrics),
        "world": msgspec.to_builtins(world),
    }


def show(found: dict[str, Any]) -> None:
    """Print it."""
    print(f"{found['cores']} cores, {show_bytes(found['memory'])}; {found['counts']}")
    for name, each in found["steps"].items():
        peaks = ", ".join(f"{program} {show_bytes(size)}" for program, size in sorted(each["peaks_bytes"].items()))
        print(
            f"{name:<8}{show_seconds(each['seconds']):>12}{each['cpu_s']:>9.0f} CPU s, peak "
            f"{show_bytes(each['peak_bytes'])} ({peaks}), exit {each['exit']}{', SWAPPED' if each['swapped'] else ''}"
        )
    training = found["metrics"].get("training", {})
    print(f"steps of batch: {training}")
    print(
        f"nDCG@10 {found['ndcg_at_10']:.4f}, popularity {found['popularity_ndcg']:.4f}, "
        f"of {found['tested_users']:,} users"
    )


if __name__ == "__main__":
    sys.exit(main())
