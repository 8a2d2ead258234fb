"""What tasks do of one group of rows: from files to a file, the same bytes each time."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from batch_layer.training.blocks.cutting import Factors, Sources
from batch_layer.training.blocks.gathering import gather, read_rows
from batch_layer.training.blocks.portions import (
    Portion,
    read_histories,
    read_portion,
    weighed_portion,
    write_portion,
)
from oryx_py.numerics.als import SideName
from oryx_py.numerics.als.phases import Block, Half, Turn, block_gram, move, turned
from oryx_py.numerics.als.portions import Group
from oryx_py.numerics.arrays import FloatMatrix, IntVector
from oryx_py.numerics.objective import Objective

__all__ = ["Improve", "Prepare", "TurnGroup", "sum_gram"]


@dataclass(frozen=True, slots=True)
class Prepare:
    """Weigh a group's pairs, and find the rows of the other side that they are with; see `weighed_portion`."""

    at: Sources
    side: SideName
    name: str
    others: int
    objective: Objective
    out: IntVector

    def __call__(self, group: Group) -> list[Half]:
        """The task."""
        for number, rows in enumerate(group.portions):
            known = read_histories(self.at.histories, self.side, rows)
            portion = weighed_portion(known, self.side, rows, self.others, self.objective, self.out)
            del known
            write_portion(self.at.work, portion_file(self.name, group.number, number), portion)
        return []


@dataclass(frozen=True, slots=True)
class TurnGroup:
    """Factors of a group in another basis."""

    at: Sources
    factors: Factors
    into: Factors
    turn: Turn

    def __call__(self, group: Group) -> list[Half]:
        """The task."""
        with threadpool_limits(limits=1, user_api="blas"):
            self.at.work.write(self.into.file(group.number), self._blocks(group))
        return []

    def _blocks(self, group: Group) -> Iterator[FloatMatrix]:
        for block in group.blocks:
            yield _turned(self.at, self.factors, group.number, block, self.turn)


@dataclass(frozen=True, slots=True)
class Improve:
    """Half a sweep of a group: ``rows`` are its side's factors as they stand, ``fixed`` the other's, turned."""

    at: Sources
    name: str
    rows: Factors
    fixed: Factors
    into: Factors
    turn: Turn

    def __call__(self, group: Group) -> list[Half]:
        """The task."""
        halves: list[Half] = []
        with threadpool_limits(limits=1, user_api="blas"):
            self.at.work.write(self.into.file(group.number), self._blocks(group, halves))
        return halves

    def _blocks(self, group: Group, halves: list[Half]) -> Iterator[FloatMatrix]:
        """The blocks as improved, one after the other; portions begin and end anywhere among them."""
        opened = _Opened(self, group)
        for block in group.blocks:
            X = _turned(self.at, self.rows, group.number, block, self.turn)
            sums, row = (0.0, 0.0), block.first
            while row < block.last:
                portion, fixed, stop = opened.at_row(row)
                stop = min(stop, block.last)
                here = X[row - block.first : stop - block.first]
                sums, row = move(here, portion.rows(row, stop), fixed, self.turn, sums), stop
            halves.append(Half(block_gram(X), *sums))
            yield X


class _Opened:
    """The portion that is worked on, and its rows of the fixed side; what it replaces leaves the memory first."""

    def __init__(self, task: Improve, group: Group) -> None:
        self._task = task
        self._group = group
        self._number = -1
        self._now: tuple[Portion, FloatMatrix] | None = None

    def at_row(self, row: int) -> tuple[Portion, FloatMatrix, int]:
        """Return the portion that has a row, its rows of the fixed side, and where it ends."""
        while self._now is None or row >= self._group.portions[self._number].last:
            self._now, self._number = None, self._number + 1
            portion = read_portion(self._task.at.work, portion_file(self._task.name, self._group.number, self._number))
            self._now = portion, gather(self._task.at.work, self._task.fixed, portion.wanted)
        return *self._now, self._group.portions[self._number].last


def sum_gram(group: Group, *, at: Sources, factors: Factors) -> list[Half]:
    """The task: Gram matrices of a group's blocks."""
    with threadpool_limits(limits=1, user_api="blas"):
        return [Half(block_gram(read_rows(at.work, factors, group.number, *block)), 0.0, 0.0) for block in group.blocks]


def portion_file(name: str, group: int, number: int) -> str:
    """Return where a portion is."""
    return f"{name}/{group:05d}-{number:05d}"


def _turned(at: Sources, factors: Factors, group: int, block: Block, turn: Turn) -> FloatMatrix:
    """A whole block at once, since BLAS may round the rows of another number otherwise."""
    rows = read_rows(at.work, factors, group, *block)
    return np.ascontiguousarray(turned(rows, Block(0, len(rows)), turn))
