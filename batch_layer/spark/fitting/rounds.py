"""A training whose sweeps are shared by tasks on all executors: each phase is a small job."""

from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path

from pyspark.sql import SparkSession
from threadpoolctl import threadpool_limits

from batch_layer.engine import Cancelled
from batch_layer.host.cores import cores
from batch_layer.spark.session.tasks import on_tasks
from batch_layer.telemetry.progress import OnProgress, Progress
from batch_layer.training.held_out import Validation
from batch_layer.training.item_training import Outcome, train_items
from batch_layer.training.job import Job
from batch_layer.training.mapped_workers import MappedWorkers
from oryx_py.numerics.als import Course
from oryx_py.numerics.arrays import BoolVector, FloatMatrix

__all__ = ["on_many_tasks"]


def on_many_tasks(
    spark: SparkSession, job: Job, *, cancelled: Callable[[], bool], on_progress: OnProgress
) -> Outcome[FloatMatrix]:
    """Train by jobs of many tasks; the items' factors are mapped, in the working directory.

    A task that is lost is run again by Spark: it reads files that are whole, and writes the same.

    Raises:
        Cancelled: somebody asked for it.
    """
    numbers = count()

    def workers(out: BoolVector | None) -> MappedWorkers:
        return MappedWorkers(
            job,
            out,
            partial(on_tasks, spark),
            tasks=spark.sparkContext.defaultParallelism,
            name=f"training-{next(numbers)}",
        )

    def after_epoch(course: Course[Path], validation: Validation | None) -> None:
        epoch = course.epochs[-1]
        ndcg = validation.value(epoch) if validation and validation.metric == "ndcg@10" else None
        on_progress(Progress(step="train", epoch=epoch.number, of=job.recipe.iterations, loss=epoch.loss, ndcg=ndcg))
        if cancelled():
            raise Cancelled

    with threadpool_limits(limits=1, user_api="blas"):
        return train_items(job, workers, threads=cores(), after_epoch=after_epoch)
