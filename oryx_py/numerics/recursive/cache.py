"""The systems that are kept, and the histories that they stand for, within so many bytes."""

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oryx_py.numerics.arrays import BoolVector, DoubleVector, IntVector
from oryx_py.numerics.recursive.kernel import States
from oryx_py.numerics.recursive.slots import Slots

__all__ = ["Cache", "Kept"]

_ENTRY_BYTES = 800
"""Of Python's objects for one system: three arrays, and what finds them."""


@dataclass(slots=True)
class Kept:
    """A row's slot, and the history that the slot stands for."""

    slot: int
    rows: NDArray[np.int32]
    w: DoubleVector
    t: DoubleVector

    @property
    def nbytes(self) -> int:
        """Of the history."""
        return self.rows.nbytes + self.w.nbytes + self.t.nbytes


class Cache:
    """The most recently used systems; the longest unused go when others need the room.

    Args:
        features: k.
        max_bytes: of all that is kept. Less than one system takes: nothing is.

    Raises:
        OSError: so much cannot even be reserved.
    """

    def __init__(self, features: int, max_bytes: int) -> None:
        k = features
        self.state_bytes = int(8 * (2 * k * k + 2 * k + 2)) + _ENTRY_BYTES
        """Of one system, without its history."""
        self._max_bytes = max_bytes
        self._slots = Slots(int(min(max_bytes // self.state_bytes, 1 << 31)), k)
        self._kept: OrderedDict[int, Kept] = OrderedDict()
        """By row, the longest unused first."""
        self._history_bytes = 0

    @property
    def states(self) -> States:
        """By slot, all systems."""
        return self._slots.states

    @property
    def nbytes(self) -> int:
        """Bytes of all that is kept."""
        return int(len(self._kept) * self.state_bytes + self._history_bytes)

    def __len__(self) -> int:
        return len(self._kept)

    def __getitem__(self, row: int) -> Kept:
        return self._kept[row]

    def has(self, rows: IntVector) -> BoolVector:
        """Return bool[m]: whose systems are kept."""
        kept = self._kept
        return np.fromiter((row in kept for row in rows.tolist()), np.bool_, len(rows))

    def fits(self, pairs: IntVector) -> BoolVector:
        """Return bool[m]: whether a system with so many pairs fits at all."""
        fitting: BoolVector = self.state_bytes + 20 * pairs <= self._max_bytes
        return fitting

    def put(self, row: int, rows: NDArray[np.int32], w: DoubleVector, t: DoubleVector) -> Kept | None:
        """Give a row that has none a slot, whose content means nothing yet; None where it does not fit at all."""
        wanted = self.state_bytes + rows.nbytes + w.nbytes + t.nbytes
        if wanted > self._max_bytes:
            return None
        self.shrink(wanted)
        one = self._kept[row] = Kept(self._slots.take(), rows, w, t)
        self._history_bytes += one.nbytes
        return one

    def use(self, row: int, rows: NDArray[np.int32], w: DoubleVector, t: DoubleVector) -> None:
        """Say that a row was solved, and what its system stands for now; `shrink` when all of a call are."""
        one = self._kept[row]
        self._history_bytes -= one.nbytes
        one.rows, one.w, one.t = rows, w, t
        self._history_bytes += one.nbytes
        self._kept.move_to_end(row)

    def drop(self, row: int) -> None:
        """Keep a row's system no more."""
        one = self._kept.pop(row)
        self._history_bytes -= one.nbytes
        self._slots.give_back(one.slot)

    def shrink(self, wanted: int = 0) -> None:
        """Give up the longest unused until there is so much room."""
        while self._kept and self.nbytes + wanted > self._max_bytes:
            self.drop(next(iter(self._kept)))
