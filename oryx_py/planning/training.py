"""What training takes: memory by the trainer's own arithmetic, seconds by what was measured."""

from typing import Final, Literal, TypeAlias

from oryx_py.numerics.als.phases import FEWEST_BLOCKS
from oryx_py.numerics.als.portions import fixed_bytes, portion_bytes
from oryx_py.numerics.als.sizing import PROCESS_BYTES, Needs, needs
from oryx_py.planning.constants import MEASURED, Constants
from oryx_py.planning.sizes import Machines, ModelSize
from oryx_py.planning.tasks import tasks_at_once

__all__ = [
    "Way",
    "largest_history",
    "least_task_bytes",
    "memory_needed",
    "needs_of",
    "rounds_bytes",
    "solve_seconds",
    "train_seconds",
    "training_room",
    "way_of",
]

Way: TypeAlias = Literal["alone", "in rounds", "in blocks"]

_GROUPS: Final = 2
"""Of rows, for each task at a time, as the batch layer cuts them."""

_GAP_BYTES: Final = {"disk": 1 << 14, "network": 1 << 20}
"""What is read between two vectors that are wanted, sooner than asking again."""


def needs_of(size: ModelSize) -> Needs:
    """Return the bytes that the trainer itself goes by."""
    return needs(size.users, size.items, size.pairs, size.features)


def training_room(machines: Machines) -> int:
    """Return the bytes of each machine that training may take: what is free, or what the settings give its tasks."""
    return machines.task_memory * tasks_at_once(machines) or machines.free


def way_of(size: ModelSize, machines: Machines) -> Way:
    """Return how the batch layer trains where machines share a folder: as the settings say or, where they leave it
    open, by its own choice; in blocks if no way fits."""
    wanted, room = machines.training, training_room(machines)
    if wanted == "one" or (wanted == "auto" and machines.count == 1 and needs_of(size).one_task <= room):
        return "alone"
    if wanted == "many" or (wanted == "auto" and rounds_bytes(size, machines) <= room):
        return "in rounds"
    return "in blocks"


def rounds_bytes(size: ModelSize, machines: Machines) -> int:
    """Return what a machine's tasks take in rounds."""
    takes = needs_of(size)
    return takes.each_host + tasks_at_once(machines) * takes.each_task


def memory_needed(size: ModelSize, machines: Machines) -> int:
    """Return the bytes of a machine's memory that training takes; in blocks all that it may, or the least."""
    way = way_of(size, machines)
    if way == "alone":
        return needs_of(size).one_task
    if way == "in rounds":
        return rounds_bytes(size, machines)
    return max(training_room(machines), tasks_at_once(machines) * least_task_bytes(size))


def largest_history(size: ModelSize, constants: Constants = MEASURED) -> int:
    """Return the pairs of the item, or user, that has most, as the plan assumes."""
    return min(max(size.users, size.items), max(1, round(constants.top_share * size.pairs)))


def least_task_bytes(size: ModelSize, constants: Constants = MEASURED) -> int:
    """Return what a task in blocks takes that holds the vectors of one row's pairs, the largest's."""
    most = largest_history(size, constants)
    block = -(-max(size.users, size.items) // FEWEST_BLOCKS)
    return PROCESS_BYTES + fixed_bytes(block, size.features) + portion_bytes(1, most, most, size.features)


def train_seconds(size: ModelSize, machines: Machines, constants: Constants = MEASURED) -> float:
    """Return the seconds of all epochs.

    Where tasks share the work there are four jobs an epoch. In rounds every machine gets the fixed side, and what does
    not stay in memory is read again; in blocks each task reads the vectors of its rows' pairs.
    """
    work = size.epochs * _epoch_s(size, constants) / (machines.cores * machines.count)
    way = way_of(size, machines)
    if way == "alone":
        return work
    if way == "in blocks":
        a_byte = constants.network_s if machines.count > 1 else constants.disk_s
        moved = _read_bytes(size, machines) + 4 * size.factor_bytes + size.history_bytes
        return work + size.epochs * (moved * a_byte / machines.count + 4 * constants.round_s)
    exchange = 2 * size.factor_bytes * constants.network_s if machines.count > 1 else 0.0
    mapped = size.history_bytes + 3 * size.factor_bytes
    missing = max(0.0, rounds_bytes(size, machines) + mapped / machines.count - machines.free)
    return work + size.epochs * (exchange + 4 * constants.round_s + missing * constants.disk_s)


def solve_seconds(size: ModelSize, machines: Machines, constants: Constants = MEASURED) -> float:
    """Return the seconds of the last step, every user solved exactly."""
    work = size.pairs * size.features * constants.solve_pair_s + size.rows * size.features**2 * constants.train_row_s
    return work / (machines.cores * machines.count)


def _epoch_s(size: ModelSize, constants: Constants) -> float:
    pairs = size.pairs * size.features * constants.train_pair_s
    return pairs + size.rows * size.features**2 * constants.train_row_s


def _read_bytes(size: ModelSize, machines: Machines) -> float:
    """Of vectors, by all tasks in one epoch in blocks."""
    room = training_room(machines) // tasks_at_once(machines) - PROCESS_BYTES
    total = 0.0
    for rows, others in ((size.users, size.items), (size.items, size.users)):
        left = room - fixed_bytes(-(-rows // FEWEST_BLOCKS), size.features)
        groups = _GROUPS * machines.cores * machines.count
        total += _read_rows(size, rows, others, groups, left, "network" if machines.count > 1 else "disk")
    return 4 * size.features * total


def _read_rows(size: ModelSize, rows: int, others: int, groups: int, room: int, where: str) -> float:
    """How many vectors a side's tasks read: a portion those of its pairs, with what is between, or all there are."""
    pairs = -(-size.pairs // groups)
    low, high = 1, pairs
    while low < high:  # the most pairs that a portion has room for
        middle = (low + high + 1) // 2
        if portion_bytes(-(-rows * middle // size.pairs), middle, others, size.features) <= room:
            low = middle
        else:
            high = middle - 1
    return size.pairs / low * min(low * max(1.0, _GAP_BYTES[where] / (4 * size.features)), others)
