"""Runs of the batch layer killed with -9, each in a process of its own, on a real Kafka and a real HDFS.

Twenty of them with a slow engine without Spark, after each step of the protocol once, then in a seeded order. With
``--real`` it is `oryx batch --once` as everybody runs it, with Spark and its own trainer, and dies within steps, at
seeded shares of the time that a run in a world of its own took; now Python alone, so that Spark may go on for a while,
now all of it. In HDFS whoever comes after a killed one waits a minute for its lease; in a folder (``--local``) nobody
waits.

A killed run, of real ones up to three in a row, is followed by one that is left alone. What has to come of it: the
history has every record of the topic once, the live generation is a NumPy fold of the topic, each generation that is
left has one epoch, and a killed run and the next have made one epoch, or one each where there was new input and the
first had its generation.

    python -m tests.bench.crashes --crashes 20 --seed 20 --json
    python -m tests.bench.crashes --real --crashes 3 --json
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from batch_layer.run.steps import Step
from oryx_py.local.broker import EmbeddedBroker
from oryx_py.local.hdfs import EmbeddedHdfs
from tests.support.crashes import CrashWorld, some_values
from tests.support.real_runs import Kill, RealRuns

_RECORDS = 200
_LONG = {Step.ROWS_WRITTEN: 5, Step.TRAINED: 5}
"""How often Spark's steps are drawn, in place of once: nearly all of a run's time is theirs."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crashes", type=int, default=20)
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--real", action="store_true", help="`oryx batch --once` with Spark, killed within steps")
    parser.add_argument("--local", action="store_true", help="history and generations in a folder, without HDFS")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--child", nargs=2, metavar=("WORLD", "STEP"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        _be_killed(*arguments.child)
        return
    began, rng = time.monotonic(), np.random.default_rng(arguments.seed)
    with (
        tempfile.TemporaryDirectory(prefix="oryx-crashes-") as folder,
        _worlds(Path(folder), in_hdfs=not arguments.local) as new_world,
    ):
        world = new_world("crashes")
        if arguments.real:
            crashes = _within_steps(world, new_world("timed"), arguments.crashes, rng)
        else:
            crashes = _after_steps(world, arguments.crashes, rng)
        world.assert_exactly_once(Path(folder) / "check")
        world.assert_an_epoch_each()
        told = {
            "crashes": crashes,
            "engine": "spark" if arguments.real else "slow",
            "in": "a folder" if arguments.local else "hdfs",
            "records": len(world.records()),
            "epochs": len(world.registry().epochs),
            "history equals the topic": True,
            "generation equals the fold": True,
            "an epoch for each generation": True,
            "seconds": round(time.monotonic() - began, 1),
        }
    print(json.dumps(told) if arguments.json else "\n".join(f"{name}: {value}" for name, value in told.items()))


@contextmanager
def _worlds(folder: Path, *, in_hdfs: bool) -> Iterator[Callable[[str], CrashWorld]]:
    """What makes a world of a name."""
    broker, hdfs = EmbeddedBroker(folder / "kafka" / "broker", 0), EmbeddedHdfs(folder / "hdfs", 0, 0)
    try:
        broker.start(180)
        if in_hdfs:
            hdfs.start(300)

        def new(name: str) -> CrashWorld:
            environ = {"ORYX__LOCAL__DIR": str(folder / name)}
            if in_hdfs:
                environ |= {
                    "ORYX__STORE__URI": f"hdfs://{hdfs.namenode.address}/{name}/store",
                    "ORYX__HISTORY__URI": f"hdfs://{hdfs.namenode.address}/{name}/history",
                    "ORYX__HDFS__WEBHDFS_URL": hdfs.namenode.webhdfs_url,
                }
            return CrashWorld(broker.bootstrap_servers, name, environ)

        yield new
    finally:
        hdfs.stop()
        broker.stop()


def _after_steps(world: CrashWorld, crashes: int, rng: np.random.Generator) -> list[str]:
    """Kill the slow engine's runs; returns after which steps."""
    steps = list(Step)
    drawn = [*steps, *(steps[n] for n in rng.integers(len(steps), size=max(0, crashes - len(steps))))][:crashes]
    for number, step in enumerate(drawn, 1):
        world.send(*some_values(rng, _RECORDS))
        killed = _run(world, step.name)
        assert killed == -signal.SIGKILL, (step, killed)
        assert _run(world, "") == 0, step
        _check_epochs(world, number, step)
    return [step.value for step in drawn]


def _within_steps(world: CrashWorld, timed: CrashWorld, crashes: int, rng: np.random.Generator) -> list[str]:
    """Kill real runs, up to three in a row, then leave one alone; returns when."""
    weights = np.array([_LONG.get(step, 1) for step in Step], np.float64)
    done: list[str] = []
    wholes = 0
    timed.send(*some_values(np.random.default_rng(0), _RECORDS))
    seconds = _told(_real_runs(timed).whole())
    runs = _real_runs(world)
    try:
        while len(done) < crashes:
            for _ in range(min(int(rng.integers(1, 4)), crashes - len(done))):
                step = list(Step)[rng.choice(len(weights), p=weights / weights.sum())]
                kill = Kill(step, rng.random(), with_spark=bool(rng.random() < 0.5))
                world.send(*some_values(rng, _RECORDS))
                is_killed = runs.killed(kill, seconds)
                wholes += not is_killed
                done.append(f"{kill}{'' if is_killed else ', too late'}")
                print(done[-1], file=sys.stderr)
            world.send(*some_values(rng, _RECORDS))
            seconds = _told(runs.whole())
            wholes += 1
    finally:
        runs.close()
    # A run that was killed behind (e) has made an epoch, which the next one finishes.
    epochs = [epoch.epoch for epoch in world.registry().epochs]
    assert epochs == list(range(1, len(epochs) + 1)), epochs
    assert wholes <= len(epochs) <= wholes + sum(told[0] in "efgh" for told in done), (epochs, done)
    assert sum("too late" in told for told in done) <= len(done) / 2, done
    return done


def _real_runs(world: CrashWorld) -> RealRuns:
    return RealRuns({**world.environment, "ORYX__BATCH__SPARK_MASTER": "local[2]"})


def _told(seconds: dict[Step, float]) -> dict[Step, float]:
    print({step.value: round(s, 2) for step, s in seconds.items()}, file=sys.stderr)
    return seconds


def _check_epochs(world: CrashWorld, wanted: int, crash: object) -> None:
    epochs = [epoch.epoch for epoch in world.registry().epochs]
    assert epochs == list(range(1, wanted + 1)), (str(crash), epochs)


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
