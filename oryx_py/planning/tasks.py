"""How many tasks prepare at a time: the plan says it, and the batch layer has Spark do it."""

from oryx_py.planning.constants import MEASURED, Constants
from oryx_py.planning.sizes import Machines

__all__ = ["cpus_a_task", "spark_bytes", "tasks_at_once"]


def cpus_a_task(cores: int, free: int, constants: Constants = MEASURED) -> int:
    """Return how many cores to reserve for a task, so that those at the same time fit ``free`` bytes; at most all."""
    workers = min(cores, max(1, int(free // constants.prepare_task_bytes)))
    return -(-cores // workers)


def tasks_at_once(machines: Machines, constants: Constants = MEASURED) -> int:
    """Return how many of Spark's tasks run at the same time on each machine.

    On one by itself as many as its memory has room for; how many an executor has is for the cluster to say.
    """
    if machines.count > 1:
        return machines.cores
    return machines.cores // cpus_a_task(machines.cores, machines.free, constants)


def spark_bytes(machines: Machines, constants: Constants = MEASURED) -> int:
    """Return the memory of each machine that reading and preparing take: Spark's JVM, and its tasks' workers."""
    return round(constants.jvm_bytes + tasks_at_once(machines, constants) * constants.prepare_task_bytes)
