"""The plan: bytes and seconds of each step and layer."""

from typing import NamedTuple

from oryx_py.planning.constants import MEASURED, Constants
from oryx_py.planning.sizes import Machines, ModelSize
from oryx_py.planning.tasks import spark_bytes, tasks_at_once
from oryx_py.planning.training import memory_needed, needs_of, solve_seconds, train_seconds, way_of

__all__ = ["Step", "plan", "preparing_disk"]

TOUCHED = 0.05
"""Share of the users that act between two generations, as the plan assumes."""

TASK_BYTES = 400 << 20
"""Of a Python worker that holds a block of rows."""


class Step(NamedTuple):
    """What a step or a layer takes.

    ``memory`` in bytes has to be there, of ``mapped`` the more the better; ``disk`` bytes are written; None: none to
    speak of, or no time of its own. ``what`` says it in words.
    """

    name: str
    memory: int | None
    mapped: int | None
    disk: int | None
    seconds: float | None
    what: str


def plan(size: ModelSize, machines: Machines, constants: Constants = MEASURED) -> list[Step]:
    """Return the steps, in the order in which data pass through them."""
    cores = machines.cores * machines.count
    rows, pairs = size.interactions, size.pairs
    jvm = round(constants.jvm_bytes)
    spark, tasks = spark_bytes(machines, constants), tasks_at_once(machines, constants)
    touched = size.users * TOUCHED * (constants.speed_user_bytes + 4 * size.features + 24 * pairs / size.users)
    steps = [
        Step("topic", None, None, round(rows * constants.topic_bytes), None, "records, until a generation covers them"),
        Step(
            "history",
            spark,
            None,
            round(rows * (constants.history_bytes + size.keyed * constants.history_key_bytes)),
            rows * constants.read_s / cores,
            "Parquet, all rows once; each run reads what is new",
        ),
        Step(
            "prepare",
            spark,
            None,
            preparing_disk(size, constants),
            rows * constants.prepare_s / cores,
            f"Spark, {_tasks(tasks)} at a time: shuffle and parts, in the working directory until the end",
        ),
    ]
    how = way_of(size, machines)
    train = memory_needed(size, machines)
    on = _cores(machines.cores) + ("" if machines.count == 1 else f" of each of {machines.count} executors")
    return [
        *steps,
        Step(
            "train",
            train + jvm,
            size.history_bytes,
            needs_of(size).work_dir,
            train_seconds(size, machines, constants),
            f"{how}, {size.epochs} epochs on {on}",
        ),
        Step(
            "solve",
            jvm + tasks * TASK_BYTES,
            size.history_bytes // 2 + size.factor_bytes,
            None,
            solve_seconds(size, machines, constants),
            "every user exactly, against the items as published",
        ),
        Step("artefact", None, None, size.artefact_bytes, None, "each generation that is kept"),
        Step(
            "serving",
            round(constants.serving_bytes + size.items * constants.serving_item_bytes + touched),
            size.artefact_bytes,
            size.artefact_bytes,
            None,
            f"a process; with {TOUCHED:.0%} of the users changed since; processes of a host share what is mapped",
        ),
        Step(
            "speed",
            round(constants.speed_bytes + touched),
            size.artefact_bytes,
            size.artefact_bytes,
            None,
            f"a process; with {TOUCHED:.0%} of the users changed since",
        ),
    ]


def preparing_disk(size: ModelSize, constants: Constants = MEASURED) -> int:
    """Return the bytes in the working directory and in Spark's local ones while the rows are folded."""
    return round(size.interactions * constants.shuffle_bytes + size.pairs * constants.part_bytes + 8 * size.rows)


def _tasks(count: int) -> str:
    return f"{count} task" if count == 1 else f"{count} tasks"


def _cores(count: int) -> str:
    return f"{count} core" if count == 1 else f"{count} cores"
