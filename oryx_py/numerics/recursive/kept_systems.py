"""Systems of hot rows kept from one solution to the next, within so many bytes: recursive least squares."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from oryx_py.numerics.arrays import BoolVector, DoubleVector, FloatMatrix, IntVector
from oryx_py.numerics.fold_in.dense import Prior, side_of
from oryx_py.numerics.fold_in.systems import Systems, frozen, some_rows, systems_of
from oryx_py.numerics.objective import Objective
from oryx_py.numerics.recursive.building import build
from oryx_py.numerics.recursive.cache import Cache, Kept
from oryx_py.numerics.recursive.changes import differences
from oryx_py.numerics.recursive.kernel import Side, States, renew

__all__ = ["BUILT", "LEFT", "RENEWED", "UNSOLVED", "Recursive", "Solved"]

UNSOLVED: Final = 0
"""There is nothing to solve, no room, or the system is too near to singular."""
LEFT: Final = 1
"""So much has changed, or rounding has come so far, that it had to be built again, and must not be; nothing is kept."""
RENEWED: Final = 2
BUILT: Final = 3

_NONE = np.empty(0)
_NO_ROWS = np.empty(0, np.int32)


class Solved(NamedTuple):
    """What came of m rows: vectors float32[m, k] as published, 0 where there is none.

    ``how`` int8[m] is ``RENEWED`` or ``BUILT``, else another way has to be taken: ``UNSOLVED`` or ``LEFT``. ``changed``
    int64[m]: pairs that had changed of what was kept.
    """

    vectors: FloatMatrix
    how: NDArray[np.int8]
    changed: IntVector

    @property
    def found(self) -> BoolVector:
        """bool[m]: which are solved."""
        found: BoolVector = self.how >= RENEWED
        return found


class Recursive:
    """Keeps the systems of rows against one side's factors, the most recently solved ones, and solves by changing them.

    A row's history is compared with the one that its system stands for, so nobody has to say what has changed, and
    anything may have: the result is that of the history given. Owned by one thread.

    Args:
        factors: float32[r, k], the other side's; never changed.
        prior: what is known of them.
        objective: of all systems.
        max_bytes: of all that is kept. Less than one system takes: nothing is.

    Raises:
        OSError: so much cannot even be reserved.
    """

    def __init__(self, factors: FloatMatrix, prior: Prior, objective: Objective, max_bytes: int) -> None:
        self._factors, self._prior, self._objective = frozen(factors, np.float32), prior, objective
        self._cache = Cache(factors.shape[1], max_bytes)
        self._places = np.empty(0, np.int32)

    @property
    def nbytes(self) -> int:
        """Bytes of all that is kept."""
        return self._cache.nbytes + self._places.nbytes

    @property
    def states(self) -> States:
        """By slot, all systems."""
        return self._cache.states

    def __len__(self) -> int:
        return len(self._cache)

    def has(self, rows: IntVector) -> BoolVector:
        """Return bool[m]: whose systems are kept."""
        return self._cache.has(rows)

    def fits(self, pairs: IntVector) -> BoolVector:
        """Return bool[m]: whether a system with so many pairs fits at all."""
        return self._cache.fits(pairs)

    def forget(self, rows: IntVector) -> None:
        """Keep nothing of rows int64[m]."""
        for row in rows[self.has(rows)].tolist():
            self._cache.drop(row)

    def solve(
        self,
        rows: IntVector,
        indptr: IntVector,
        indices: NDArray[np.integer],
        strengths: DoubleVector,
        most_changes: NDArray[np.number] | None = None,
        may_build: BoolVector | None = None,
    ) -> Solved:
        """Solve rows int64[m], none twice, whose histories are as `numerics.fold_in.batched.fold_in_many` takes them.

        Args:
            rows, indptr, indices, strengths: whose, and their histories.
            most_changes: number[m]: where more pairs than this have changed, the system is not renewed; None for any.
            may_build: bool[m]: whose systems may be built where there is none, or none that can be renewed; None: all.
        """
        m, k = len(rows), self._factors.shape[1]
        X, how, changed = np.zeros((m, k), np.float32), np.full(m, UNSOLVED, np.int8), np.zeros(m, np.int64)
        if m:
            systems = systems_of(indptr, indices, strengths, self._factors, self._prior, self._objective)
            side = Side(
                self._factors, self._prior.gram, self._objective.g, systems.plain, systems.turned, systems.column
            )
            known = np.flatnonzero(self.has(rows))
            most = np.full(m, np.inf) if most_changes is None else most_changes
            changed[known], renewed = self._renew(rows, known, most[known], systems, side, X)
            how[known] = np.where(renewed, RENEWED, LEFT)
            for at in np.flatnonzero(how != RENEWED).tolist():  # one by one: each may need the room of another
                if may_build is None or may_build[at]:
                    how[at] = BUILT if self._build(int(rows[at]), at, systems, side, X) else UNSOLVED
            if self._objective.biases is not None:
                self._objective.biases.publish(X, side_of(self._prior))
        return Solved(X, how, changed)

    def _renew(
        self,
        rows: IntVector,
        known: IntVector,
        most: NDArray[np.number],
        systems: Systems,
        side: Side,
        X: FloatMatrix,
    ) -> tuple[IntVector, BoolVector]:
        """Solve those that are kept; return int64 how many of their pairs had changed, and bool whether that is done.

        Where it is not, nothing is kept any more.
        """
        if not len(known):
            return np.empty(0, np.int64), np.empty(0, np.bool_)
        kept = [self._cache[row] for row in rows[known].tolist()]
        indptr, at = some_rows(systems.indptr, known)
        new_rows, w, t = systems.rows[at], systems.w[at], systems.t[at]
        found, places, dw, dt = self._differences(kept, indptr, new_rows, w, t)
        changed = np.diff(found)
        few = np.flatnonzero(changed <= most)
        solved = np.zeros(len(kept), np.bool_)
        if len(few):
            some, at = some_rows(found, few)
            slots = np.array([kept[number].slot for number in few.tolist()], np.int64)
            vectors = np.empty((len(few), X.shape[1]), np.float32)
            ridges, turn = systems.ridges[known[few]], systems.turn[known[few]]
            of_some = places[at], dw[at], dt[at]
            solved[few] = renew(slots, some, *of_some, ridges, turn, side, self.states, vectors)
            X[known[few]] = vectors
        for number, row in enumerate(rows[known].tolist()):
            if solved[number]:
                pairs = slice(indptr[number], indptr[number + 1])
                self._cache.use(row, new_rows[pairs].copy(), w[pairs].copy(), t[pairs].copy())
            else:
                self._cache.drop(row)
        self._cache.shrink()
        return changed, solved

    def _differences(
        self,
        kept: list[Kept],
        indptr: IntVector,
        rows: NDArray[np.int32],
        w: DoubleVector,
        t: DoubleVector,
    ) -> tuple[IntVector, NDArray[np.int32], DoubleVector, DoubleVector]:
        """Return whose changes are whose, as CSR, and of each its row, Δw and Δt."""
        old_indptr = np.zeros(len(kept) + 1, np.int64)
        np.cumsum([len(one.rows) for one in kept], out=old_indptr[1:])
        old_rows = np.concatenate([_NO_ROWS, *(one.rows for one in kept)])
        old_w = np.concatenate([_NONE, *(one.w for one in kept)])
        old_t = np.concatenate([_NONE, *(one.t for one in kept)])
        if not len(self._places):
            self._places = np.full(len(self._factors), -1, np.int32)
        room = len(rows) + len(old_rows)
        found, changed = np.empty(len(kept) + 1, np.int64), np.empty(room, np.int32)
        dw, dt = np.empty(room), np.empty(room)
        differences(indptr, rows, w, t, old_indptr, old_rows, old_w, old_t, self._places, found, changed, dw, dt)
        return found, changed, dw, dt

    def _build(self, row: int, at: int, systems: Systems, side: Side, X: FloatMatrix) -> bool:
        pairs = slice(systems.indptr[at], systems.indptr[at + 1])
        rows, w, t = systems.rows[pairs].copy(), systems.w[pairs].copy(), systems.t[pairs].copy()
        one = self._cache.put(row, rows, w, t)
        if one is None:
            return False
        indptr, slots, some = np.array([0, len(rows)], np.int64), np.array([one.slot], np.int64), slice(at, at + 1)
        ridges, turn = systems.ridges[some], systems.turn[some]
        solved = bool(build(slots, indptr, rows, w, t, ridges, turn, side, self.states, X[some])[0])
        if not solved:
            self._cache.drop(row)
        return solved
