"""Twenty runs of the batch layer killed with -9, each in a process of its own, on a real Kafka and a real HDFS.

After each step of the protocol once, then in a seeded order; every killed run is followed by one that is left alone.
What has to come of it: the history has every record of the topic once, the live generation is a NumPy fold of the
topic, and each pair of runs made one epoch.

    python -m tests.bench.crashes --crashes 20 --seed 20 --json
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from batch_layer.steps import Step
from oryx_py.local.broker import EmbeddedBroker
from oryx_py.local.hdfs import EmbeddedHdfs
from tests.support.crashes import CrashWorld, some_values

_RECORDS = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crashes", type=int, default=20)
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--local", action="store_true", help="history and generations in a folder, without HDFS")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--child", nargs=2, metavar=("WORLD", "STEP"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        _be_killed(*arguments.child)
        return
    with tempfile.TemporaryDirectory(prefix="oryx-crashes-") as folder:
        told = _measure(Path(folder), arguments.crashes, arguments.seed, in_hdfs=not arguments.local)
    print(json.dumps(told) if arguments.json else "\n".join(f"{name}: {value}" for name, value in told.items()))


def _measure(folder: Path, crashes: int, seed: int, *, in_hdfs: bool) -> dict[str, object]:
    began = time.monotonic()
    broker, hdfs = EmbeddedBroker(folder / "kafka" / "broker", 0), EmbeddedHdfs(folder / "hdfs", 0, 0)
    try:
        broker.start(180)
        environ = {"ORYX__LOCAL__DIR": str(folder / "here")}
        if in_hdfs:
            hdfs.start(300)
            environ |= {
                "ORYX__STORE__URI": f"hdfs://{hdfs.namenode.address}/store",
                "ORYX__HISTORY__URI": f"hdfs://{hdfs.namenode.address}/history",
                "ORYX__HDFS__WEBHDFS_URL": hdfs.namenode.webhdfs_url,
            }
        world, rng = CrashWorld(broker.bootstrap_servers, "crashes", environ), np.random.default_rng(seed)
        steps = list(Step)
        drawn = [*steps, *(steps[n] for n in rng.integers(len(steps), size=max(0, crashes - len(steps))))][:crashes]
        for number, step in enumerate(drawn, 1):
            world.send(*some_values(rng, _RECORDS))
            killed = _run(world, step.name)
            assert killed == -signal.SIGKILL, (step, killed)
            assert _run(world, "") == 0, step
            epochs = [epoch.epoch for epoch in world.registry().epochs]
            assert epochs == list(range(1, number + 1)), (step, epochs)
        world.assert_exactly_once(folder / "check")
        return {
            "crashes": [step.value for step in drawn],
            "in": "hdfs" if in_hdfs else "a folder",
            "records": len(world.records()),
            "epochs": len(world.registry().epochs),
            "history equals the topic": True,
            "generation equals the fold": True,
            "seconds": round(time.monotonic() - began, 1),
        }
    finally:
        hdfs.stop()
        broker.stop()


def _run(world: CrashWorld, step: str) -> int:
    told = json.dumps([world.bootstrap, world.name, world.environ])
    command = [sys.executable, "-m", "tests.bench.crashes", "--child", told, step]
    return subprocess.run(command, stdout=subprocess.DEVNULL, check=False, timeout=300).returncode


def _be_killed(world: str, step: str) -> None:
    """Do one run in this process, which ends after a step as by kill -9; "" for a run that is left alone."""

    def end(done: Step) -> None:
        if done.name == step:
            os.kill(os.getpid(), signal.SIGKILL)

    CrashWorld(*json.loads(world)).run(after_step=end)


if __name__ == "__main__":
    main()
