"""Whether it fits, and what it would fit on."""

from oryx_py.planning.constants import MEASURED, Constants
from oryx_py.planning.plan import plan, preparing_disk
from oryx_py.planning.quantities import show_bytes, show_count
from oryx_py.planning.sizes import SPARE, Machines, ModelSize
from oryx_py.planning.tasks import spark_bytes, tasks_at_once
from oryx_py.planning.training import (
    largest_history,
    least_task_bytes,
    memory_needed,
    needs_of,
    rounds_bytes,
    training_room,
    way_of,
)

__all__ = ["obstacle", "suited"]

_GIB = 1 << 30
_MEMORIES = tuple(_GIB << power for power in range(3, 12))
_CORES_A_GIB = 1 / 4
_EXECUTOR_COUNTS = (2, 4, 8, 16, 32, 64, 128)


def obstacle(size: ModelSize, machines: Machines, constants: Constants = MEASURED) -> str | None:
    """Return in one line, with the arithmetic, why a generation cannot be made; None where it can."""
    needed, room, way = memory_needed(size, machines), training_room(machines), way_of(size, machines)
    if needed > room and way != "in blocks":
        return (
            f'training {way}, as batch.training_tasks = "{machines.training}" says, needs {show_bytes(needed)} of '
            f'memory, and {show_bytes(room)} are for it: set it to "auto", or take more memory or fewer features'
        )
    if needed > room:
        rows = largest_history(size, constants)
        vectors = (
            f"{show_count(rows)} rows × {size.features} features × 4 bytes = {show_bytes(4 * rows * size.features)}"
        )
        return (
            f"training in blocks needs {show_bytes(needed)} of memory ({tasks_at_once(machines)} tasks × "
            f"{show_bytes(least_task_bytes(size, constants))}, of which the vectors of the item's or user's with most "
            f"pairs are {vectors}), and {show_bytes(room)} of {show_bytes(machines.memory)} are for it: take "
            f"{_remedy(size, constants)}, fewer cores on as much memory, or fewer features"
        )
    preparing, least = spark_bytes(machines, constants), round(machines.memory * SPARE)
    if preparing > least:
        return (
            f"reading and preparing need {show_bytes(preparing)} of memory ({show_bytes(constants.jvm_bytes)} of Spark "
            f"and {tasks_at_once(machines, constants)} × {show_bytes(constants.prepare_task_bytes)} of tasks), and "
            f"{show_bytes(least)} of {show_bytes(machines.memory)} are for it: take more memory"
            + ("" if machines.count == 1 else ", or fewer tasks at a time on an executor (spark.executor.cores)")
        )
    disk = needs_of(size).work_dir + size.artefact_bytes + preparing_disk(size, constants)
    if machines.disk is not None and disk > machines.disk:
        return (
            f"preparing and training write {show_bytes(disk)} ({show_bytes(preparing_disk(size, constants))} in the "
            f"shuffle, {show_bytes(size.artefact_bytes)} of the artefact, {show_bytes(needs_of(size).work_dir)} of "
            f"factors and weights), {show_bytes(machines.disk)} are free: make room, or set batch.work_dir"
        )
    return None


def suited(size: ModelSize, constants: Constants = MEASURED) -> tuple[Machines | None, Machines | None]:
    """Return the smallest machine that trains alone and serves, and the smallest cluster of smaller ones, if any."""
    enough = next((memory for memory in _MEMORIES if _has_room(size, memory, constants)), None)
    alone = None if enough is None else _machine(enough)
    for memory in _MEMORIES:
        if memory == enough:
            break
        for count in _EXECUTOR_COUNTS:
            each = Machines(cores=_machine(memory).cores, memory=memory, count=count)
            if rounds_bytes(size, each) + (size.history_bytes + size.factor_bytes) / count <= each.free:
                return alone, each
    return alone, None


def _has_room(size: ModelSize, memory: int, constants: Constants) -> bool:
    """Whether training alone has room, and so have serving and speed with what they map."""
    machine = _machine(memory)
    heaps = sum(step.memory or 0 for step in plan(size, machine, constants) if step.name in ("serving", "speed"))
    return max(needs_of(size).one_task, heaps + size.artefact_bytes) <= machine.free


def _machine(memory: int) -> Machines:
    return Machines(cores=max(2, round(memory / _GIB * _CORES_A_GIB)), memory=memory)


def _remedy(size: ModelSize, constants: Constants) -> str:
    alone, cluster = suited(size, constants)
    found = [f"a machine with {show_bytes(alone.memory)}"] if alone else []
    found += [f"{cluster.count} executors with {show_bytes(cluster.memory)}"] if cluster else []
    return " or ".join(found) or f"machines with more than {show_bytes(_MEMORIES[-1])}"
