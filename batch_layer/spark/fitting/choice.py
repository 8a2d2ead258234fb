"""How to train: by the settings, the master, what tasks see, and the memory of the hosts.

*alone*: one task with all cores; *rounds*: tasks share each sweep, and map factors that lie in a folder all of them
see; *blocks*: they share each sweep, and read the rows that they need. All come to the same bits.
"""

import socket
from typing import Literal, TypeAlias

import structlog
from pyspark.sql import SparkSession

from batch_layer.host.memory import available_bytes
from batch_layer.recipe import Recipe
from batch_layer.spark.preparing import Prepared
from batch_layer.spark.session.task_slots import slots
from batch_layer.spark.session.tasks import Hands, InThreads, OnSpark, on_tasks
from batch_layer.training.blocks import least_task_bytes
from batch_layer.training.job import Job
from oryx_py.errors import NoRoom, UserError
from oryx_py.numerics.als.sizing import needs
from oryx_py.runtime.machine import memory_bytes

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


def way_of(spark: SparkSession, job: Job, prepared: Prepared, *, shared: bool, ahead: bool = False) -> tuple[Way, int]:
    """Return how to train (see `chosen`), and the bytes that a task may take; asks the hosts and the session.

    ``shared`` says whether tasks see the job's directories; ``ahead`` that it is another's, asked about beforehand.

    Raises:
        UserError: see `chosen`.
    """
    context = spark.sparkContext
    local = is_local(spark)
    conf = context.getConf()
    if local:
        memory, most, tasks = available_bytes(), memory_bytes(), slots(spark)
    else:
        told = on_tasks(spark, _available, range(context.defaultParallelism))
        memory, most = min(available for _, available, _ in told), min(most for _, _, most in told)
        # By those who answered: hosts that are not there yet will only make it more.
        tasks = -(-len(told) // len({host for host, _, _ in told}))
    if given := int(str(conf.get(TASK_BYTES, "0"))):
        memory = most = given * tasks
    wanted = str(conf.get(TRAINING_TASKS, "auto"))
    way = chosen(
        wanted,
        prepared,
        job.recipe.features,
        local=local,
        shared=shared,
        memory=memory,
        most=most,
        tasks=tasks,
        least_task=least_task_bytes(job),
    )
    if wanted == "auto" and shared and not ahead and way != ("alone" if local else "rounds"):
        log.warning("training_is_shared" if way == "rounds" else "training_is_in_blocks", free_bytes=memory)
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
    most: int = 0,
    shared: bool = True,
) -> Way:
    """Say how to train, given the free memory of the smallest host, in bytes, and how many tasks it has at a time.

    "auto" is alone with a local master; rounds with any other, or where that doesn't fit, if all ``shared`` see one
    folder and its hosts hold the larger side's factors; else blocks, of which a task takes ``least_task`` at least.

    Raises:
        NoRoom: none of those that are wanted fits now; were all of ``most`` bytes free, one would.
        UserError: none does ever.
    """
    takes = needs(prepared.users, prepared.items, prepared.pairs, features)
    many = takes.each_host + tasks * takes.each_task
    if (wanted == "one" or (wanted == "auto" and local)) and takes.one_task <= memory and shared:
        return "alone"
    if wanted in ("auto", "many") and many <= memory and shared:
        return "rounds"
    if wanted in ("auto", "blocks") and least_task * tasks <= memory:
        return "blocks"
    least = {"one": takes.one_task, "many": many}.get(wanted, least_task * tasks)
    at_once = "" if wanted == "one" or tasks == 1 else f" with {tasks} tasks at a time"
    raise (NoRoom if least <= most else UserError)(
        f"training {prepared.users:,} users, {prepared.items:,} items and {prepared.pairs:,} pairs with {features} "
        f"features takes {least / _GIB:.1f} GiB of a host's memory{at_once}, {memory / _GIB:.1f} are free: "
        + ("end what else is there, " if least <= most else "")
        + _remedy(wanted, shared)
    )


def _remedy(wanted: str, shared: bool) -> str:
    if wanted in ("one", "many"):
        where = "" if shared else ", since executors do not see one folder"
        return f'lower model.features, or set batch.training_tasks = "auto"{where}'
    return "give a host fewer tasks at a time (spark.executor.cores), or lower model.features"


def _available(_: int) -> tuple[str, int, int]:
    """The task: its host, what is free of its memory, and all of it."""
    return socket.gethostname(), available_bytes(), memory_bytes()
