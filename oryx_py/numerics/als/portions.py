"""How much of a side a task takes at a time, where its memory does not hold the other side: arithmetic.

A *group* is what one task works on and writes, some `Block`s that follow each other. It goes through them in
*portions*, rows whose pairs and whose distinct rows of the other side fit its memory. What comes out depends on
neither.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from oryx_py.numerics.als.phases import Block
from oryx_py.numerics.arrays import IntVector

__all__ = ["READ_BYTES", "Group", "fixed_bytes", "groups_of", "largest_row", "portion_bytes"]

READ_BYTES = 8 << 20
"""Of factors that are read at a time."""

_FLOAT = 4
_PAIR_BYTES = 32
"""An index, a strength, weight, target, and what renumbering takes; while rows are improved it is 12."""
_ROW_BYTES = 24
_WEIGHED, _WEIGHED_BYTES = 1 << 20, 64
"""Pairs that are weighed at a time, and what each takes meanwhile."""
_INDPTR = 1 << 20


class Group(NamedTuple):
    """Blocks of one side, its number among all, and the portions: rows ``first`` to ``last`` each."""

    number: int
    blocks: tuple[Block, ...]
    portions: tuple[Block, ...]

    @property
    def first(self) -> int:
        """The group's first row."""
        return self.blocks[0].first

    @property
    def last(self) -> int:
        """The row after its last."""
        return self.blocks[-1].last


def portion_bytes(rows: int, pairs: int, others: int, features: int) -> int:
    """Return what a portion takes at most: no more rows of the other side than it has pairs, or than there are."""
    weighing = _WEIGHED_BYTES * min(pairs, _WEIGHED)
    return _PAIR_BYTES * pairs + weighing + _ROW_BYTES * rows + _FLOAT * (features + 2) * min(pairs, others)


def fixed_bytes(block_rows: int, features: int) -> int:
    """Return what a task takes beside its portion: a block's rows, old and new, and what it reads."""
    return 2 * _FLOAT * features * block_rows + 3 * READ_BYTES + 4 * 8 * features**2


def largest_row(indptr: IntVector) -> int:
    """Return the pairs of the row that has most; ``indptr`` may be mapped."""
    firsts = range(0, max(1, len(indptr) - 1), _INDPTR)
    return max(int(np.diff(indptr[first : first + _INDPTR + 1]).max(initial=0)) for first in firsts)


def groups_of(
    blocks: Sequence[Block], indptr: IntVector, others: int, features: int, *, count: int, room: int
) -> list[Group]:
    """Cut a side into about ``count`` groups, and each into the fewest portions of at most ``room`` bytes.

    A row that takes more is a portion by itself.
    """
    cuts = np.array_split(np.arange(len(blocks)), min(count, len(blocks)))
    groups = []
    for number, cut in enumerate(cuts):
        mine = tuple(blocks[at] for at in cut.tolist())
        edges = [mine[0].first]
        while edges[-1] < mine[-1].last:
            edges.append(_reach(indptr, edges[-1], mine[-1].last, others, features, room))
        groups.append(Group(number, mine, tuple(Block(first, last) for first, last in pairwise(edges))))
    return groups


def _reach(indptr: IntVector, first: int, last: int, others: int, features: int, room: int) -> int:
    """The row up to which a portion that begins at ``first`` goes; by bisection, since each row adds to it."""
    low, high = first + 1, last
    while low < high:
        middle = (low + high + 1) // 2
        pairs = int(indptr[middle]) - int(indptr[first])
        if portion_bytes(middle - first, pairs, others, features) <= room:
            low = middle
        else:
            high = middle - 1
    return low
