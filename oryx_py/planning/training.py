"""What training takes: memory that has to be there, memory that makes it fast, seconds."""

from oryx_py.planning.constants import MEASURED, Constants
from oryx_py.planning.sizes import Machines, ModelSize

__all__ = ["alone_bytes", "alone_seconds", "executor_bytes", "rounds_seconds", "solve_seconds", "work_bytes"]


def alone_bytes(size: ModelSize, constants: Constants = MEASURED) -> int:
    """Return what one process needs in memory to train: one side's factors, read at random, and the other's blocks.

    The histories and the rest are mapped and read in a row: with less memory than `work_bytes` more of them comes
    from the disk in each epoch, and it is only slower.
    """
    return round(size.fixed_bytes + size.factor_bytes / 8 + constants.train_bytes)


def work_bytes(size: ModelSize) -> int:
    """Return what training maps: the histories, and the factors of this epoch, of the last and of the best."""
    return size.history_bytes + 3 * size.factor_bytes


def executor_bytes(size: ModelSize, machines: Machines, constants: Constants = MEASURED) -> int:
    """Return what a machine needs in memory to do its share of the rounds; its Python workers share what they map."""
    return round(size.fixed_bytes + size.factor_bytes / (8 * machines.count) + machines.cores * constants.train_bytes)


def alone_seconds(size: ModelSize, machine: Machines, constants: Constants = MEASURED) -> float:
    """Return the seconds of all epochs on one machine."""
    missing = max(0.0, alone_bytes(size, constants) + size.history_bytes + size.factor_bytes - machine.memory)
    return size.epochs * (_epoch_s(size, constants) / machine.cores + missing * constants.disk_s)


def rounds_seconds(size: ModelSize, machines: Machines, constants: Constants = MEASURED) -> float:
    """Return the seconds of all epochs in rounds: four jobs each, for which every machine gets the fixed side."""
    work = _epoch_s(size, constants) / (machines.cores * machines.count)
    exchange = 2 * size.factor_bytes * constants.network_s if machines.count > 1 else 0.0
    return size.epochs * (work + exchange + 4 * constants.round_s)


def solve_seconds(size: ModelSize, machines: Machines, constants: Constants = MEASURED) -> float:
    """Return the seconds of the last step, every user solved exactly."""
    work = size.pairs * size.features * constants.solve_pair_s + size.rows * size.features**2 * constants.train_row_s
    return work / (machines.cores * machines.count)


def _epoch_s(size: ModelSize, constants: Constants) -> float:
    pairs = size.pairs * size.features * constants.train_pair_s
    return pairs + size.rows * size.features**2 * constants.train_row_s
