"""Both sides of a training, cut by what a task's memory holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from batch_layer.task_files.exchange import Exchange
from batch_layer.training.job import Job
from oryx_py.model.generations.history_files import map_histories
from oryx_py.numerics.als import SideName
from oryx_py.numerics.als.phases import blocks
from oryx_py.numerics.als.portions import Group, fixed_bytes, groups_of, largest_row, portion_bytes
from oryx_py.numerics.als.sizing import PROCESS_BYTES

__all__ = ["OTHER", "SIDES", "Cuts", "Factors", "Sources", "cut_sides", "edges_of", "least_task_bytes"]

SIDES: tuple[SideName, SideName] = ("users", "items")
OTHER: Mapping[SideName, SideName] = {"users": "items", "items": "users"}

_GROUPS = 2
"""For each place where a task can run: who has done his takes the next."""


class Cuts(NamedTuple):
    """The groups of each side, in the order of their rows."""

    users: tuple[Group, ...]
    items: tuple[Group, ...]

    def of(self, side: SideName) -> tuple[Group, ...]:
        """Return a side's groups."""
        return self.users if side == "users" else self.items


@dataclass(frozen=True, slots=True)
class Factors:
    """A side's factors: a file for each group of its rows, float32[rows, k] and nothing else.

    The groups ``zeros`` have no file: their rows are 0.
    """

    name: str
    edges: tuple[int, ...]
    features: int
    zeros: frozenset[int] = frozenset()

    def file(self, group: int) -> str:
        """Return the name of a group's file."""
        return f"{self.name}/{group:05d}"


@dataclass(frozen=True, slots=True)
class Sources:
    """Where tasks find things: ``histories`` has `history_files` of both sides, ``work`` what they write."""

    histories: Exchange
    work: Exchange


def cut_sides(job: Job, *, tasks: int, task_bytes: int) -> Cuts:
    """Cut both sides for so many tasks at a time, each of which may take so many bytes."""
    found = []
    for side in SIDES:
        indptr, others, features = map_histories(job.into, side).indptr, job.rows(OTHER[side]), job.recipe.features
        ranges = blocks(indptr, features)
        most = max(block.last - block.first for block in ranges)
        room = task_bytes - PROCESS_BYTES - fixed_bytes(most, features)
        found.append(tuple(groups_of(ranges, indptr, others, features, count=_GROUPS * tasks, room=room)))
    return Cuts(*found)


def least_task_bytes(job: Job) -> int:
    """Return what a task takes whose portions are rows by themselves: of less memory nothing can be made."""
    least = 0
    for side in SIDES:
        indptr, others, features = map_histories(job.into, side).indptr, job.rows(OTHER[side]), job.recipe.features
        most = max(block.last - block.first for block in blocks(indptr, features))
        one = portion_bytes(1, largest_row(indptr), others, features)
        least = max(least, PROCESS_BYTES + fixed_bytes(most, features) + one)
    return least


def edges_of(groups: Sequence[Group]) -> tuple[int, ...]:
    """Return where groups begin, and at last where all end."""
    return (*(group.first for group in groups), groups[-1].last)
