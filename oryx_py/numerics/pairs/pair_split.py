"""Many rows' known pairs (`oryx_py.numerics.pairs.pair_table`), those with items of the base apart from the others."""

import numpy as np
from numpy.typing import NDArray

from oryx_py.numerics.arrays import BoolVector, DoubleVector, IntVector
from oryx_py.numerics.compiled.compiling import lean, lean_part
from oryx_py.numerics.pairs.pair_table import CLEARED, LENGTH, START, Base, Table, mark

__all__ = ["split"]


@lean_part
def is_in(ascending: IntVector, wanted: int) -> bool:
    """Whether a number is among others."""
    low, high = 0, len(ascending)
    while low < high:
        middle = (low + high) >> 1
        if ascending[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return bool(low < len(ascending) and ascending[low] == wanted)


@lean
def split(
    base: Base,
    table: Table,
    rows: IntVector,
    count: int,
    excepted: IntVector,
    indptr: IntVector,
    others: IntVector,
    items: NDArray[np.int32],
    strengths: DoubleVector,
    replaced: BoolVector,
) -> None:
    """Write the rows' known pairs in two parts of ``items`` and ``strengths``, which they just fill.

    Pairs with items below ``count``, as all of the base are, and none of the ascending ``excepted``, come from the
    front on, row by row: first what the base still says, then what has changed, as it first changed. All other pairs
    come from the end backwards. ``indptr`` and ``others``, int64[n + 1], say how many of either the rows before have.
    ``replaced`` bool[longest row of the base] is all false, and is so again.
    """
    front, back = 0, len(items) - 1
    some = len(excepted) > 0
    for number in range(len(rows)):
        row = rows[number]
        run = table.run_of[row] - 1 if row < len(table.run_of) else -1
        start = table.runs[run, START] if run >= 0 else 0
        length = table.runs[run, LENGTH] if run >= 0 else 0
        if row < len(base.indptr) - 1 and not (run >= 0 and table.runs[run, CLEARED]):
            first, last = base.indptr[row], base.indptr[row + 1]
            mark(table, start, length, replaced)
            for at in range(first, last):
                if length > 0 and replaced[at - first]:
                    replaced[at - first] = False
                    continue
                item = base.indices[at]
                if some and is_in(excepted, item):
                    items[back], strengths[back] = item, base.strengths[at]
                    back -= 1
                else:
                    items[front], strengths[front] = item, base.strengths[at]
                    front += 1
        for at in range(start, start + length):
            strength, item = table.values[at], table.entries[at, 0]
            if np.isnan(strength):
                continue
            if item >= count or (some and is_in(excepted, item)):
                items[back], strengths[back] = item, strength
                back -= 1
            else:
                items[front], strengths[front] = item, strength
                front += 1
        indptr[number + 1], others[number + 1] = front, len(items) - 1 - back
