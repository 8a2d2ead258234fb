"""A training in blocks: jobs as in rounds, of tasks that need neither a whole side nor a file system they share."""

from collections.abc import Callable, Sequence
from itertools import count

import numpy as np
from pyspark.sql import SparkSession
from threadpoolctl import threadpool_limits

from batch_layer.engine import Cancelled
from batch_layer.host.cores import cores
from batch_layer.spark.session.tasks import on_tasks
from batch_layer.telemetry.progress import OnProgress, Progress
from batch_layer.training.blocks import BlockWorkers, Cuts, Factors, RunGroups, Sources, solve_in_blocks
from batch_layer.training.held_out import Validation
from batch_layer.training.item_training import Outcome, train_items
from batch_layer.training.job import Job
from oryx_py.model.files import create_array, open_array
from oryx_py.numerics.als import Course, SideName
from oryx_py.numerics.als.phases import Half
from oryx_py.numerics.als.portions import Group
from oryx_py.numerics.arrays import BoolVector, FloatMatrix

__all__ = ["in_blocks", "users_in_blocks"]


def in_blocks(
    spark: SparkSession,
    job: Job,
    *,
    at: Sources,
    cuts: Cuts,
    cancelled: Callable[[], bool],
    on_progress: OnProgress,
) -> Outcome[FloatMatrix]:
    """Train by jobs of many tasks; the items' factors are mapped, in this process's working directory.

    A task that is lost is run again by Spark: it reads files that are whole, and writes the same.

    Raises:
        Cancelled: somebody asked for it.
    """
    numbers = count()

    def workers(out: BoolVector | None) -> BlockWorkers:
        name = f"training-{next(numbers)}"
        return BlockWorkers(job, out, _runner(spark, cancelled), at=at, cuts=cuts, name=name)

    def make(side: SideName) -> FloatMatrix:
        path = job.work / f"begin-{side}.npy"
        create_array(path, np.float32, (job.rows(side), job.recipe.features))
        found = open_array(path)
        path.unlink()  # what is mapped stays, and goes with who maps it
        return found

    def after_epoch(course: Course[Factors], validation: Validation | None) -> None:
        epoch = course.epochs[-1]
        ndcg = validation.value(epoch) if validation and validation.metric == "ndcg@10" else None
        on_progress(Progress(step="train", epoch=epoch.number, of=job.recipe.iterations, loss=epoch.loss, ndcg=ndcg))

    with threadpool_limits(limits=1, user_api="blas"):
        return train_items(job, workers, threads=cores(), make=make, after_epoch=after_epoch)


def users_in_blocks(
    spark: SparkSession, job: Job, *, at: Sources, cuts: Cuts, cancelled: Callable[[], bool] = lambda: False
) -> int:
    """Solve the users by tasks; see `solve_in_blocks`.

    Raises:
        Cancelled: somebody asked for it.
    """
    return solve_in_blocks(job, _runner(spark, cancelled), at=at, cuts=cuts)


def _runner(spark: SparkSession, cancelled: Callable[[], bool]) -> RunGroups:
    def run(work: Callable[[Group], list[Half]], given: Sequence[Group]) -> list[list[Half]]:
        if cancelled():
            raise Cancelled
        return on_tasks(spark, work, given)

    return run
