"""Systems of hot rows kept from one solution to the next, within so many bytes: recursive least squares."""

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oryx_py.numerics.arrays import BoolVector, DoubleVector, FloatMatrix, IntVector
from oryx_py.numerics.fold_in.dense import Prior, side_of
from oryx_py.numerics.fold_in.systems import Systems, frozen, some_rows, systems_of
from oryx_py.numerics.objective import Objective
from oryx_py.numerics.recursive.building import build
from oryx_py.numerics.recursive.changes import differences
from oryx_py.numerics.recursive.kernel import Side, States, renew

__all__ = ["Recursive"]

_NONE = np.empty(0)
_NO_ROWS = np.empty(0, np.int32)


@dataclass(slots=True)
class _Kept:
    """A row's slot, and the history that the slot stands for."""

    slot: int
    rows: NDArray[np.int32]
    w: DoubleVector
    t: DoubleVector

    @property
    def nbytes(self) -> int:
        return self.rows.nbytes + self.w.nbytes + self.t.nbytes


class Recursive:
    """Keeps the systems of rows against one side's factors, the most recently solved ones, and solves by changing them.

    A row's history is compared with the one that its system stands for, so nobody has to say what has changed, and
    anything may have: the result is that of the history given. Owned by one thread.

    Args:
        factors: float32[r, k], the other side's; never changed.
        prior: what is known of them.
        objective: of all systems.
        max_bytes: of all that is kept. Less than one system takes: nothing is.
    """

    def __init__(self, factors: FloatMatrix, prior: Prior, objective: Objective, max_bytes: int) -> None:
        self._factors, self._prior, self._objective = frozen(factors, np.float32), prior, objective
        k = factors.shape[1]
        self.state_bytes = int(8 * (2 * k * k + 2 * k + 2))
        """Of one system, without its history."""
        self._max_bytes = max_bytes
        self._slots = int(min(max_bytes // self.state_bytes, 1 << 31))
        self._states: States | None = None
        self._used = 0
        """Slots below this have been used."""
        self._returned: list[int] = []
        self._kept: OrderedDict[int, _Kept] = OrderedDict()
        """By row, the longest unused first."""
        self._history_bytes = 0
        self._places = np.empty(0, np.int32)

    @property
    def nbytes(self) -> int:
        """Bytes of all that is kept."""
        return self._held() + self._places.nbytes

    def __len__(self) -> int:
        return len(self._kept)

    def has(self, rows: IntVector) -> BoolVector:
        """Return bool[m]: whose systems are kept."""
        kept = self._kept
        return np.fromiter((row in kept for row in rows.tolist()), np.bool_, len(rows))

    def fits(self, pairs: IntVector) -> BoolVector:
        """Return bool[m]: whether a system with so many pairs fits at all."""
        fitting: BoolVector = self.state_bytes + 20 * pairs <= self._max_bytes
        return fitting

    def solve(
        self, rows: IntVector, indptr: IntVector, indices: NDArray[np.integer], strengths: DoubleVector
    ) -> tuple[FloatMatrix, BoolVector]:
        """Solve rows int64[m], none twice, whose histories are as `numerics.fold_in.batched.fold_in_many` takes them.

        Returns float32[m, k] as published, and bool[m]: false where another way has to be taken, since there is nothing
        to solve, no room, or the system is too near to singular.
        """
        k = self._factors.shape[1]
        X, solved = np.zeros((len(rows), k), np.float32), np.zeros(len(rows), np.bool_)
        if len(rows):
            systems = systems_of(indptr, indices, strengths, self._factors, self._prior, self._objective)
            side = Side(
                self._factors, self._prior.gram, self._objective.g, systems.plain, systems.turned, systems.column
            )
            known = np.flatnonzero(self.has(rows))
            solved[known] = self._renew(rows, known, systems, side, X)
            for at in np.flatnonzero(~solved).tolist():  # one by one: each may need the room of another
                solved[at] = self._build(int(rows[at]), at, systems, side, X)
            if self._objective.biases is not None:
                self._objective.biases.publish(X, side_of(self._prior))
        return X, solved

    def _renew(self, rows: IntVector, known: IntVector, systems: Systems, side: Side, X: FloatMatrix) -> BoolVector:
        if not len(known):
            return np.empty(0, np.bool_)
        kept = [self._kept[row] for row in rows[known].tolist()]
        indptr, at = some_rows(systems.indptr, known)
        new_rows, w, t = systems.rows[at], systems.w[at], systems.t[at]
        old_indptr = np.zeros(len(kept) + 1, np.int64)
        np.cumsum([len(one.rows) for one in kept], out=old_indptr[1:])
        old_rows = np.concatenate([_NO_ROWS, *(one.rows for one in kept)])
        old_w = np.concatenate([_NONE, *(one.w for one in kept)])
        old_t = np.concatenate([_NONE, *(one.t for one in kept)])
        if not len(self._places):
            self._places = np.full(len(self._factors), -1, np.int32)
        room = len(new_rows) + len(old_rows)
        found, changed = np.empty(len(kept) + 1, np.int64), np.empty(room, np.int32)
        dw, dt = np.empty(room), np.empty(room)
        differences(
            indptr, new_rows, w, t, old_indptr, old_rows, old_w, old_t, self._places, found, changed, dw, dt
        )  # fmt: skip
        slots = np.array([one.slot for one in kept], np.int64)
        ridges, turn = systems.ridges[known], systems.turn[known]
        vectors = np.empty((len(kept), X.shape[1]), np.float32)
        solved = renew(slots, found, changed, dw, dt, ridges, turn, side, self.states, vectors)
        X[known] = vectors
        for number, (row, one) in enumerate(zip(rows[known].tolist(), kept, strict=True)):
            pairs = slice(indptr[number], indptr[number + 1])
            self._history_bytes -= one.nbytes
            one.rows, one.w, one.t = new_rows[pairs].copy(), w[pairs].copy(), t[pairs].copy()
            self._history_bytes += one.nbytes
            self._kept.move_to_end(row)
        for row in rows[known[~solved]].tolist():
            self._drop(row)
        self._shrink(0)
        return solved

    def _build(self, row: int, at: int, systems: Systems, side: Side, X: FloatMatrix) -> bool:
        pairs = slice(systems.indptr[at], systems.indptr[at + 1])
        rows, w, t = systems.rows[pairs].copy(), systems.w[pairs].copy(), systems.t[pairs].copy()
        if not self.state_bytes + rows.nbytes + w.nbytes + t.nbytes <= self._max_bytes:
            return False
        self._shrink(self.state_bytes + rows.nbytes + w.nbytes + t.nbytes)
        one = _Kept(self._slot(), rows, w, t)
        self._kept[row] = one
        self._history_bytes += one.nbytes
        indptr, slots = np.array([0, len(rows)], np.int64), np.array([one.slot], np.int64)
        some = slice(at, at + 1)
        solved = bool(
            build(slots, indptr, rows, w, t, systems.ridges[some], systems.turn[some], side, self.states, X[some])[0]
        )
        if not solved:
            self._drop(row)
        return solved

    def _slot(self) -> int:
        if self._returned:
            return self._returned.pop()
        self._used += 1
        return self._used - 1

    @property
    def states(self) -> States:
        """The slots; a page of them that was never touched takes no memory."""
        if self._states is None:
            c, k = self._slots, self._factors.shape[1]
            self._states = States(
                A=np.empty((c, k, k)),
                P=np.empty((c, k, k)),
                b=np.empty((c, k)),
                x=np.empty((c, k)),
                added=np.empty((c, 2)),
            )
        return self._states

    def _held(self) -> int:
        return int(len(self._kept) * self.state_bytes + self._history_bytes)

    def _drop(self, row: int) -> None:
        one = self._kept.pop(row)
        self._history_bytes -= one.nbytes
        self._returned.append(one.slot)

    def _shrink(self, wanted: int) -> None:
        """Give up the longest unused until there is so much room."""
        while self._kept and self._held() + wanted > self._max_bytes:
            self._drop(next(iter(self._kept)))
