"""One task or many: by the settings, the master and the memory of the hosts."""

import structlog
from pyspark.sql import SparkSession

from batch_layer.memory import available_bytes
from batch_layer.recipe import Recipe
from batch_layer.spark.preparing import Prepared
from batch_layer.spark.tasks import Hands, InThreads, OnSpark, on_tasks
from oryx_py.errors import UserError
from oryx_py.numerics.als.sizing import needs

__all__ = ["TRAINING_TASKS", "chosen", "hands_for", "is_local", "takes_one_task"]

log = structlog.get_logger("batch")

TRAINING_TASKS = "spark.oryx.trainingTasks"
"""The session's property that says what `batch.training_tasks` is."""

_GIB = 1 << 30

_SMALL = _GIB
"""What a training takes that this process itself may do, in bytes: it is over in seconds, of which the jobs and worker
processes of Spark would be one or two. A larger one has a process of its own, whose memory goes with it."""


def is_local(spark: SparkSession) -> bool:
    """Whether the master is this process's own."""
    return str(spark.sparkContext.master).startswith("local")


def takes_one_task(spark: SparkSession, prepared: Prepared, recipe: Recipe) -> bool:
    """Whether one task trains; see `chosen`. Asks the hosts for their memory, and the session what is wanted.

    Raises:
        UserError: see `chosen`.
    """
    context = spark.sparkContext
    local = is_local(spark)
    wanted = context.getConf().get(TRAINING_TASKS, "auto")
    memory = available_bytes() if local else min(on_tasks(spark, _available, range(context.defaultParallelism)))
    return chosen(
        str(wanted),
        prepared,
        recipe.features,
        local=local,
        memory=memory,
        tasks=context.defaultParallelism if local else 1,
    )


def hands_for(spark: SparkSession, prepared: Prepared, recipe: Recipe, *, one: bool) -> Hands:
    """Return who trains and solves: this process, where it is the only host and there is little to do; else Spark."""
    takes = needs(prepared.users, prepared.items, prepared.pairs, recipe.features)
    if one and is_local(spark) and takes.one_task <= _SMALL:
        return InThreads(spark.sparkContext.defaultParallelism)
    return OnSpark(spark)


def chosen(wanted: str, prepared: Prepared, features: int, *, local: bool, memory: int, tasks: int) -> bool:
    """Whether one task trains, given the memory of the smallest host, in bytes, and how many tasks it has at a time.

    "auto" is one task with a local master; where that doesn't fit it is many, whose factors may leave the memory.

    Raises:
        UserError: neither fits.
    """
    takes = needs(prepared.users, prepared.items, prepared.pairs, features)
    one = wanted == "one" or (wanted == "auto" and local)
    if one and takes.one_task <= memory:
        return True
    many = takes.each_host + tasks * takes.each_task
    if (one and wanted == "one") or many > memory:
        least = takes.one_task if wanted == "one" else many
        raise UserError(
            f"training {prepared.users:,} users, {prepared.items:,} items and {prepared.pairs:,} pairs with {features} "
            f"features takes {least / _GIB:.1f} GiB of a host's memory, {memory / _GIB:.1f} are free: "
            'lower model.features, or set batch.trainer = "mllib", which needs no side in one piece'
        )
    if one:
        log.warning("training_is_shared", needs_bytes=takes.one_task, free_bytes=memory)
    return False


def _available(_: int) -> int:
    """The task."""
    return available_bytes()
