"""Who solves which user, and how: `speed.solver`."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from oryx_py.numerics.fold_in.batched import fold_in_many
from oryx_py.numerics.fold_in.dense import Prior, fold_in
from oryx_py.numerics.fold_in.kernel import DESCENT, FACTORS, SINGULARLY
from oryx_py.numerics.fold_in.systems import some_rows
from oryx_py.numerics.objective import Objective
from oryx_py.numerics.recursive.kept_systems import Recursive
from speed_layer.solving.costs import building_us, descent_us, renewal_us
from speed_layer.solving.counting import Counting, Tally

__all__ = ["SolverKind", "UserSolver"]

Handles = NDArray[np.int64]
Vectors = NDArray[np.float32]
WORTH_IT = 2.0
"""So many times must conjugate gradients cost what renewing a system does: gains that are less are no surer than the
estimate of costs."""
SolverKind = Literal["auto", "rls", "cg", "dense"]


class UserSolver:
    """Solves users against the generation's items, which never change, and others against whatever is given.

    ``auto`` keeps the systems of users for whom that pays: a user is credited with what a kept system would have saved
    each time, and gets one when the credit reaches what building costs. So nobody costs more than twice what would have
    been best, whatever comes. What costs how much is `speed_layer.solving.costs`; nothing is timed, so the same log
    is solved in the same way.

    Args:
        factors: float32[r, k], the generation's items.
        prior: what is known of them.
        objective: the generation's.
        kind: `speed.solver`.
        cache_bytes: `speed.solver_cache_bytes`.
        counting: is told what was solved.
    """

    def __init__(
        self,
        factors: Vectors,
        prior: Prior,
        objective: Objective,
        kind: SolverKind = "auto",
        cache_bytes: int = 256 << 20,
        counting: Counting | None = None,
    ) -> None:
        self._factors, self._prior, self._objective = factors, prior, objective
        self._kind = kind
        self._counting = counting or Tally()
        keeps = kind in ("auto", "rls") and len(factors) > 0
        self._kept = Recursive(factors, prior, objective, cache_bytes) if keeps else None
        self._credit = np.zeros(0, np.float32)
        """µs, by user; minus infinity for those who cannot be solved so."""

    @property
    def nbytes(self) -> int:
        """Bytes of the systems kept, and of the credits."""
        return self._credit.nbytes + (0 if self._kept is None else self._kept.nbytes)

    def solve(
        self, users: Handles, indptr: Handles, items: NDArray[np.integer], strengths: NDArray[np.float64]
    ) -> Vectors:
        """Return float32[m, k]: users int64[m], none twice, from histories of the generation's items, as CSR rows."""
        if self._kept is None or not len(users):
            return self.solve_with(indptr, items, strengths, self._factors, self._prior)
        chosen = np.flatnonzero(self._choose(users, np.diff(indptr)))
        if not len(chosen):
            return self.solve_with(indptr, items, strengths, self._factors, self._prior)
        some, pairs = some_rows(indptr, chosen)
        vectors, solved = self._kept.solve(users[chosen], some, items[pairs], strengths[pairs])
        self._counting.solved("rls", int(solved.sum()))
        self._credit[users[chosen]] = np.where(solved, 0.0, -np.inf)
        left = np.ones(len(users), np.bool_)
        left[chosen[solved]] = False
        found = np.empty((len(users), vectors.shape[1]), np.float32)
        found[chosen] = vectors
        others = np.flatnonzero(left)
        if len(others):
            rest, pairs = some_rows(indptr, others)
            found[others] = self.solve_with(rest, items[pairs], strengths[pairs], self._factors, self._prior)
        return found

    def solve_with(
        self,
        indptr: Handles,
        rows: NDArray[np.integer],
        strengths: NDArray[np.float64],
        factors: Vectors,
        prior: Prior,
    ) -> Vectors:
        """Return float32[m, k] of histories against any factors; nothing of them is kept."""
        m = len(indptr) - 1
        if self._kind == "dense":
            self._counting.solved("dense", m)
            return _dense(indptr, rows, strengths, factors, prior, self._objective)
        how = np.empty(m, np.int8)
        vectors = fold_in_many(indptr, rows, strengths, factors, prior, self._objective, how=how)
        self._counting.solved("cg", int((how == DESCENT).sum()))
        self._counting.solved("dense", int(((how == FACTORS) | (how == SINGULARLY)).sum()))
        return vectors

    def _choose(self, users: Handles, pairs: Handles) -> NDArray[np.bool_]:
        """Return bool[m]: who is to be solved by a system that is kept, or will be."""
        assert self._kept is not None
        k = self._factors.shape[1]
        if int(users.max()) >= len(self._credit):
            grown = np.zeros(max(int(users.max()) + 1, 2 * len(self._credit)), np.float32)
            grown[: len(self._credit)] = self._credit
            self._credit = grown
        has, fits = self._kept.has(users), self._kept.fits(pairs) & (pairs > 0)
        if self._kind == "rls":
            chosen = fits
        else:
            otherwise, renewed = descent_us(pairs, k), renewal_us(pairs, k)
            saved, pays = otherwise - renewed, fits & (otherwise > WORTH_IT * renewed)
            self._credit[users[pays]] += saved[pays].astype(np.float32)
            chosen = pays & (has | (self._credit[users] >= building_us(pairs, k)))
        hits = int((chosen & has).sum())
        self._counting.looked_up(hits, int(chosen.sum()) - hits)
        return chosen


def _dense(
    indptr: Handles,
    rows: NDArray[np.integer],
    strengths: NDArray[np.float64],
    factors: Vectors,
    prior: Prior,
    objective: Objective,
) -> Vectors:
    """The reference, row by row: slow, and beyond doubt."""
    found = np.empty((len(indptr) - 1, factors.shape[1]), np.float32)
    with np.errstate(over="ignore"):
        for at in range(len(found)):
            pairs = slice(indptr[at], indptr[at + 1])
            found[at] = fold_in(strengths[pairs], factors[rows[pairs]], prior, objective)
    beyond = ~np.isfinite(found).all(axis=1)
    if beyond.any():
        found[beyond] = fold_in(np.empty(0), factors[:0], prior, objective)
    return found
