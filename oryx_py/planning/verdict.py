"""Whether it fits, and what it would fit on."""

from oryx_py.planning.constants import MEASURED, Constants
from oryx_py.planning.plan import plan, preparing_disk
from oryx_py.planning.quantities import show_bytes, show_count
from oryx_py.planning.sizes import Machines, ModelSize
from oryx_py.planning.training import alone_bytes, executor_bytes, work_bytes

__all__ = ["obstacle", "suited"]

_GIB = 1 << 30
_SPARE = 0.9
"""Share of a machine's memory that is there for us."""
_MEMORIES = tuple(_GIB << power for power in range(3, 12))
_CORES_A_GIB = 1 / 4
_EXECUTOR_COUNTS = (2, 4, 8, 16, 32, 64, 128)


def obstacle(size: ModelSize, machines: Machines, constants: Constants = MEASURED) -> str | None:
    """Return in one line, with the arithmetic, why training cannot be done; None where it can."""
    factors = f"{show_count(max(size.users, size.items))} rows × {size.features} features × 4 bytes"
    if machines.count == 1:
        needed, who = alone_bytes(size, constants), "training"
    else:
        needed, who = executor_bytes(size, machines, constants), "each executor"
    if needed > machines.memory * _SPARE:
        return (
            f"{who} needs {show_bytes(needed)} of memory ({factors} = {show_bytes(size.fixed_bytes)} of one side's "
            f"factors, and its blocks and threads), {_SPARE:.0%} of {show_bytes(machines.memory)} is less: "
            f'take {_remedy(size, constants)}, fewer features, or batch.trainer = "mllib"'
        )
    disk = work_bytes(size) + size.ids_bytes + preparing_disk(size, constants)
    if machines.disk is not None and disk > machines.disk:
        return (
            f"preparing and training write {show_bytes(disk)} ({show_bytes(preparing_disk(size, constants))} of shuffle"
            f" and parts, {show_bytes(size.history_bytes)} of histories, 3 × {show_bytes(size.factor_bytes)} of"
            f" factors), {show_bytes(machines.disk)} are free: make room, or set batch.work_dir"
        )
    return None


def suited(size: ModelSize, constants: Constants = MEASURED) -> tuple[Machines, Machines | None]:
    """Return the smallest machine that trains in memory, and the smallest cluster of smaller ones, None where none is.

    In memory: all that training maps, Spark's JVM and serving's and speed's heaps fit as well.
    """
    heaps = sum(step.memory or 0 for step in plan(size, _machine(_MEMORIES[0])) if step.name in ("serving", "speed"))
    needed = alone_bytes(size, constants) + work_bytes(size) + constants.jvm_bytes + heaps
    alone = _machine(next((memory for memory in _MEMORIES if needed <= memory * _SPARE), _MEMORIES[-1]))
    for memory in _MEMORIES:
        if memory >= alone.memory:
            break
        for count in _EXECUTOR_COUNTS:
            each = Machines(cores=_machine(memory).cores, memory=memory, count=count)
            needed = executor_bytes(size, each, constants) + constants.jvm_bytes + work_bytes(size) / count
            if needed <= memory * _SPARE:
                return alone, each
    return alone, None


def _machine(memory: int) -> Machines:
    return Machines(cores=max(2, round(memory / _GIB * _CORES_A_GIB)), memory=memory)


def _remedy(size: ModelSize, constants: Constants) -> str:
    alone, cluster = suited(size, constants)
    found = f"a machine with {show_bytes(alone.memory)}"
    return f"{found} or {cluster.count} executors with {show_bytes(cluster.memory)}" if cluster else found
