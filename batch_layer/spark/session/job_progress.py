"""How far Spark is with what it is asked to do, by the tasks that have ended."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from py4j.protocol import Py4JError
from pyspark import SparkStageInfo, StatusTracker
from pyspark.sql import SparkSession

from batch_layer.telemetry.progress import OnProgress, Progress

__all__ = ["fraction", "tracked"]

_LOOK_S = 0.5


def fraction(stages: Iterable[SparkStageInfo]) -> float:
    """Return how much of these stages is done, 0 … 1, every task counting the same."""
    numbers = [(stage.numCompletedTasks, stage.numTasks) for stage in stages]
    total = sum(tasks for _, tasks in numbers)
    return sum(done for done, _ in numbers) / total if total else 0.0


@contextmanager
def tracked(spark: SparkSession, step: str, rows: int, on_progress: OnProgress) -> Iterator[None]:
    """Tell how many of the rows of a step are done, about, while the one job within is running.

    Args:
        spark: whose job.
        step: as `Progress` names it.
        rows: how many there are; tasks have about as many each.
        on_progress: told when it has gone on.
    """
    over = threading.Event()

    def watch() -> None:
        tracker, told = spark.sparkContext.statusTracker(), 0.0
        while not over.wait(_LOOK_S):
            try:
                now = fraction(_stages(tracker))
            except (Py4JError, OSError):  # Spark is ending
                return
            if now > told:
                told = now
                on_progress(Progress(step=step, rows=int(rows * now), of=rows))

    watcher = threading.Thread(target=watch, name="progress", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def _stages(tracker: StatusTracker) -> Iterator[SparkStageInfo]:
    jobs = [info for job in tracker.getActiveJobsIds() if (info := tracker.getJobInfo(job)) is not None]
    for number in {stage for job in jobs for stage in job.stageIds}:
        if (stage := tracker.getStageInfo(number)) is not None:
            yield stage
