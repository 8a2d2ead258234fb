"""How many tasks Spark runs at the same time on this machine: as many as its memory has room for, as `oryx plan` says.

A task's Python worker folds its part in memory, so that a worker a core is more than a machine of many cores has.
"""

import re

import structlog
from pyspark.sql import SparkSession

from batch_layer.host.cores import cores
from oryx_py.planning.constants import MEASURED
from oryx_py.planning.tasks import cpus_a_task

__all__ = ["reserved", "slots"]

log = structlog.get_logger("batch")

_CPUS = "spark.task.cpus"
_LOCAL = re.compile(r"local(?:\[(\*|\d+)(?:,\d+)?\])?")


def reserved(master: str, available: int) -> dict[str, str]:
    """Return the properties by which a session's tasks at the same time fit ``available`` bytes; a local session's.

    None with another master: what an executor gets, and how many tasks at a time, is the cluster's to say.
    """
    if not (local := _LOCAL.fullmatch(master)):
        return {}
    count = max(1, cores() if local[1] == "*" else int(local[1] or 1))
    cpus = cpus_a_task(count, max(0, available - round(MEASURED.jvm_bytes)))
    if cpus > 1:
        log.warning("fewer_tasks_at_a_time", cores=count, tasks=count // cpus, free_bytes=available)
    return {_CPUS: str(cpus)}


def slots(spark: SparkSession) -> int:
    """Return how many tasks a session of this machine runs at the same time."""
    context = spark.sparkContext
    return max(1, context.defaultParallelism // int(str(context.getConf().get(_CPUS, "1"))))
