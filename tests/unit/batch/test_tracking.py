"""How far Spark is, as its own status says it."""

import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pyspark import SparkStageInfo

from batch_layer.spark.session import job_progress
from batch_layer.spark.session.job_progress import fraction, tracked
from batch_layer.telemetry.progress import Progress


def stage(done: int, tasks: int) -> SparkStageInfo:
    return SparkStageInfo(0, 0, "", tasks, 0, done, 0)


@pytest.mark.parametrize(
    ("stages", "part"), [([], 0.0), ([stage(0, 0)], 0.0), ([stage(1, 4)], 0.25), ([stage(4, 4), stage(1, 6)], 0.5)]
)
def test_every_task_counts_the_same(stages: list[SparkStageInfo], part: float) -> None:
    assert fraction(stages) == part


def test_it_is_told_as_it_goes_on_and_never_backwards(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, all_seen = [0, 1, 1, 3, 2, 4], threading.Event()
    told: list[Progress] = []

    def next_stage(_: int) -> SparkStageInfo:
        done = seen.pop(0) if seen else 4
        if not seen:
            all_seen.set()
        return stage(done, 4)

    tracker = SimpleNamespace(
        getActiveJobsIds=lambda: [7], getJobInfo=lambda _: SimpleNamespace(stageIds=[1]), getStageInfo=next_stage
    )
    spark: Any = SimpleNamespace(sparkContext=SimpleNamespace(statusTracker=lambda: tracker))
    monkeypatch.setattr(job_progress, "_LOOK_S", 0.001)
    with tracked(cast("Any", spark), "read", 1_000, told.append):
        assert all_seen.wait(10)
    assert [(progress.rows, progress.of) for progress in told if progress.rows != 1_000] == [(250, 1_000), (750, 1_000)]
