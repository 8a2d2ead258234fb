"""What training takes: memory by the trainer's own arithmetic, seconds by what was measured."""

from oryx_py.numerics.als.sizing import Needs, needs
from oryx_py.planning.constants import MEASURED, Constants
from oryx_py.planning.sizes import Machines, ModelSize

__all__ = ["is_alone", "memory_needed", "needs_of", "solve_seconds", "train_seconds"]


def needs_of(size: ModelSize) -> Needs:
    """Return the bytes that the trainer itself goes by."""
    return needs(size.users, size.items, size.pairs, size.features)


def is_alone(size: ModelSize, machines: Machines) -> bool:
    """Whether one task trains, with all cores of a machine, as the batch layer chooses by itself."""
    return machines.count == 1 and needs_of(size).one_task <= machines.free


def memory_needed(size: ModelSize, machines: Machines) -> int:
    """Return the bytes of a machine's memory that training takes, alone or in rounds."""
    takes = needs_of(size)
    return takes.one_task if is_alone(size, machines) else takes.each_host + machines.cores * takes.each_task


def train_seconds(size: ModelSize, machines: Machines, constants: Constants = MEASURED) -> float:
    """Return the seconds of all epochs.

    In rounds there are four jobs an epoch, for which every machine gets the fixed side, and weights are made of
    strengths again and again, read from files that may not stay in memory.
    """
    work = size.epochs * _epoch_s(size, constants) / (machines.cores * machines.count)
    if is_alone(size, machines):
        return work
    exchange = 2 * size.factor_bytes * constants.network_s if machines.count > 1 else 0.0
    mapped = size.history_bytes + 3 * size.factor_bytes
    missing = max(0.0, memory_needed(size, machines) + mapped / machines.count - machines.free)
    return work + size.epochs * (exchange + 4 * constants.round_s + missing * constants.disk_s)


def solve_seconds(size: ModelSize, machines: Machines, constants: Constants = MEASURED) -> float:
    """Return the seconds of the last step, every user solved exactly."""
    work = size.pairs * size.features * constants.solve_pair_s + size.rows * size.features**2 * constants.train_row_s
    return work / (machines.cores * machines.count)


def _epoch_s(size: ModelSize, constants: Constants) -> float:
    pairs = size.pairs * size.features * constants.train_pair_s
    return pairs + size.rows * size.features**2 * constants.train_row_s
