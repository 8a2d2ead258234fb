"""Arrays that get longer row by row, and never stop for a copy of all that they have."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["AHEAD", "GrowingRows"]

AHEAD = 8
"""Rows that are copied, at most, for each that comes."""


class GrowingRows:
    """Arrays side by side, as long as each other, whose rows come one after the other and are written in place.

    Those that follow, twice as long, are filled ahead, some rows for each that comes, so that they have everything when
    the present ones are full. Until then these alone are read, in one piece, as if there were no others. They are
    never resized: whoever reads on while others take their place keeps what it began with.

    Args:
        arrays: [rows, ...], the rows not used yet zeros, of which pages never written take no memory.
    """

    def __init__(self, *arrays: NDArray[Any]) -> None:
        self.arrays = arrays
        """The present ones; others after a `reach` that said so."""
        self._next: tuple[NDArray[Any], ...] = ()
        self._filled = 0  # of the next ones; 0 where there are none yet
        self.copied = 0
        """Rows that were copied so far."""

    def __len__(self) -> int:
        return len(self.arrays[0])

    @property
    def nbytes(self) -> int:
        """Bytes of the present arrays, and of what is filled ahead."""
        return sum(array.nbytes for array in (*self.arrays, *(longer[: self._filled] for longer in self._next)))

    def reach(self, used: int, wanted: int) -> bool:
        """Let there be so many rows, of which so many are used; say whether `arrays` are others now."""
        full = len(self)
        if wanted > full:
            # So much above what is wanted that the next row is not behind with its copies at once.
            size = max(2 * full, wanted + wanted // (AHEAD - 1) + 1)
            if self._filled == 0 or size > len(self._next[0]):
                self._begin(size)
            self._fill(used)
            self.arrays, self._next, self._filled = self._next, (), 0
            return True
        due = min(used, full - AHEAD * (full - wanted))
        if due > self._filled:
            if self._filled == 0:
                self._begin(2 * full)
            self._fill(due)
        return False

    def wrote(self, row: int) -> None:
        """Note that a used row was written in place."""
        if row < self._filled:
            for array, longer in zip(self.arrays, self._next, strict=True):
                longer[row] = array[row]

    def wrote_many(self, rows: NDArray[np.int64]) -> None:
        """Note that used rows were written in place."""
        if self._filled:
            chosen = rows[rows < self._filled]
            for array, longer in zip(self.arrays, self._next, strict=True):
                longer[chosen] = array[chosen]

    def _begin(self, size: int) -> None:
        self._next = tuple(np.zeros((size, *array.shape[1:]), array.dtype) for array in self.arrays)
        self._filled = 0

    def _fill(self, rows: int) -> None:
        for array, longer in zip(self.arrays, self._next, strict=True):
            longer[self._filled : rows] = array[self._filled : rows]
        self.copied += rows - self._filled
        self._filled = rows
