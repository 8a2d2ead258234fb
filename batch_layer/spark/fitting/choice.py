"""How to train: by the settings, the master, what tasks see, and the memory of the hosts.

*alone*: one task with all cores; *rounds*: tasks share each sweep, and map factors that lie in a folder all of them
see; *blocks*: they share each sweep, and read the rows that they need. All come to the same bits.
"""

import socket
from typing import Literal, TypeAlias

import structlog
from pyspark.sql import SparkSession

from batch_layer.memory import available_bytes
from batch_layer.recipe import Recipe
from batch_layer.spark.preparing import Prepared
from batch_layer.spark.tasks import Hands, InThreads, OnSpark, on_tasks
from batch_layer.training.blocks import least_task_bytes
from batch_layer.training.job import Job
from oryx_py.errors import UserError
from oryx_py.numerics.als.sizing import needs

__all__ = ["TASK_BYTES", "TRAINING_TASKS", "Way", "chosen", "hands_for", "is_local", "way_of"]

log = structlog.get_logger("batch")

TRAINING_TASKS = "spark.oryx.trainingTasks"
"""The session's property that says what `batch.training_tasks` is."""

TASK_BYTES = "spark.oryx.taskBytes"
"""The session's property that says what `batch.task_memory_bytes` is."""

Way: TypeAlias = Literal["alone", "rounds", "blocks"]

_GIB = 1 << 30

_SMALL = _GIB
"""What a training takes that this process itself may do, in bytes: it is over in seconds, of which the jobs and worker
processes of Spark would be one or two. A larger one has a process of its own, whose memory goes with it."""


def is_local(spark: SparkSession) -> bool:
    """Whether the master is this process's own."""
    return str(spark.sparkContext.master).startswith("local")


def way_of(spark: SparkSession, job: Job, prepared: Prepared, *, shared: bool) -> tuple[Way, int]:
    """Return how to train (see `chosen`), and the bytes that a task may take; asks the hosts and the session.

    ``shared`` says whether tasks see the job's directories.

    Raises:
        UserError: see `chosen`.
    """
    context = spark.sparkContext
    local = is_local(spark)
    conf = context.getConf()
    if local:
        memory, tasks = available_bytes(), context.defaultParallelism
    else:
        told = on_tasks(spark, _available, range(context.defaultParallelism))
        memory = min(available for _, available in told)
        # By those who answered: hosts that are not there yet will only make it more.
        tasks = -(-len(told) // len({host for host, _ in told}))
    if given := int(str(conf.get(TASK_BYTES, "0"))):
        memory = given * tasks
    way = chosen(
        str(conf.get(TRAINING_TASKS, "auto")),
        prepared,
        job.recipe.features,
        local=local,
        shared=shared,
        memory=memory,
        tasks=tasks,
        least_task=least_task_bytes(job),
    )
    return way, memory // tasks


def hands_for(spark: SparkSession, prepared: Prepared, recipe: Recipe, *, one: bool) -> Hands:
    """Return who trains and solves: this process, where it is the only host and there is little to do; else Spark."""
    takes = needs(prepared.users, prepared.items, prepared.pairs, recipe.features)
    if one and is_local(spark) and takes.one_task <= _SMALL:
        return InThreads(spark.sparkContext.defaultParallelism)
    return OnSpark(spark)


def chosen(
    wanted: str,
    prepared: Prepared,
    features: int,
    *,
    local: bool,
    memory: int,
    tasks: int,
    least_task: int,
    shared: bool = True,
) -> Way:
    """Say how to train, given the memory of the smallest host, in bytes, and how many tasks it has at a time.

    "auto" is alone with a local master; rounds with any other, or where that doesn't fit, if all ``shared`` see one
    folder and its hosts hold the larger side's factors; else blocks, of which a task takes ``least_task`` at least.

    Raises:
        UserError: none of those that are wanted fits.
    """
    takes = needs(prepared.users, prepared.items, prepared.pairs, features)
    many = takes.each_host + tasks * takes.each_task
    if (wanted == "one" or (wanted == "auto" and local)) and takes.one_task <= memory and shared:
        return "alone"
    if wanted in ("auto", "many") and many <= memory and shared:
        if local and wanted == "auto":
            log.warning("training_is_shared", needs_bytes=takes.one_task, free_bytes=memory)
        return "rounds"
    if wanted in ("auto", "blocks") and least_task * tasks <= memory:
        if shared and wanted == "auto":
            log.warning("training_is_in_blocks", needs_bytes=many, free_bytes=memory)
        return "blocks"
    least = {"one": takes.one_task, "many": many}.get(wanted, least_task * tasks)
    at_once = "" if wanted == "one" or tasks == 1 else f" with {tasks} tasks at a time"
    raise UserError(
        f"training {prepared.users:,} users, {prepared.items:,} items and {prepared.pairs:,} pairs with {features} "
        f"features takes {least / _GIB:.1f} GiB of a host's memory{at_once}, {memory / _GIB:.1f} are free: "
        + _remedy(wanted, shared)
    )


def _remedy(wanted: str, shared: bool) -> str:
    if wanted in ("one", "many"):
        where = "" if shared else ", since executors do not see one folder"
        return f'lower model.features, or set batch.training_tasks = "auto"{where}'
    return "give a host fewer tasks at a time (spark.executor.cores), or lower model.features"


def _available(_: int) -> tuple[str, int]:
    """The task."""
    return socket.gethostname(), available_bytes()
