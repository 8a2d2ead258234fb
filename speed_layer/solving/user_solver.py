"""Who solves which user, and how: `speed.solver`."""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from oryx_py.numerics.fold_in.batched import fold_in_many
from oryx_py.numerics.fold_in.dense import Prior, fold_in
from oryx_py.numerics.fold_in.kernel import DESCENT, FACTORS, SINGULARLY
from oryx_py.numerics.fold_in.systems import some_rows
from oryx_py.numerics.objective import Objective
from oryx_py.numerics.recursive.kept_systems import BUILT, RENEWED, UNSOLVED, Recursive
from speed_layer.solving.costs import building_us, change_us, comparison_us, descent_us, renewal_us
from speed_layer.solving.counting import Counting, Tally

__all__ = ["SolverKind", "UserSolver"]

Handles = NDArray[np.int64]
Vectors = NDArray[np.float32]
WORTH_IT = 2.0
"""So many times must conjugate gradients cost what renewing a system does: gains that are less are no surer than the
estimate of costs."""
MOST_CREDIT = 2.0
"""What a kept system has saved counts for so many times what building it costs: enough for one great change."""
IN_VAIN = 4.0
"""Who was built in vain has to save so many times that before it is tried again: what was in the way may be gone."""
SolverKind = Literal["auto", "rls", "cg", "dense"]


class UserSolver:
    """Solves users against the generation's items, which never change, and others against whatever is given.

    ``auto`` keeps the systems of users for whom that pays: a user is credited with what a kept system saves each time,
    or would have saved, and gets one when the credit reaches what building costs. A kept one is changed pair by pair
    as long as that costs no more than doing without, this time, and the credit. So nobody costs more than twice what
    would have been best, whatever comes. What costs how much is `speed_layer.solving.costs`; nothing is timed, so the
    same log is solved in the same way.

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
        """µs, by user: 4 bytes for each beside `cache_bytes`. In debt are those who could not be solved so."""

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
        choice = self._choose(users, np.diff(indptr))
        chosen = np.flatnonzero(choice.chosen)
        if not len(chosen):
            return self.solve_with(indptr, items, strengths, self._factors, self._prior)
        some, pairs = some_rows(indptr, chosen)
        may, most = choice.may_build[chosen], choice.most_changes[chosen]
        vectors, how, changed = came = self._kept.solve(users[chosen], some, items[pairs], strengths[pairs], most, may)
        solved = came.found
        self._counting.solved("rls", int(solved.sum()))
        self._settle(users[chosen], np.diff(some), how, changed)
        left = np.ones(len(users), np.bool_)
        left[chosen[solved]] = False
        found = np.empty((len(users), vectors.shape[1]), np.float32)
        found[chosen] = vectors
        others = np.flatnonzero(left)
        if len(others):
            rest, pairs = some_rows(indptr, others)
            found[others] = self.solve_with(rest, items[pairs], strengths[pairs], self._factors, self._prior)
        return found

    def forget(self, users: Handles) -> None:
        """Keep nothing of users int64[m]: not the histories that they had."""
        if self._kept is not None:
            self._kept.forget(users)
            self._credit[users[users < len(self._credit)]] = 0.0

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

    def _choose(self, users: Handles, pairs: Handles) -> "_Choice":
        assert self._kept is not None
        k = self._factors.shape[1]
        if int(users.max()) >= len(self._credit):
            grown = np.zeros(max(int(users.max()) + 1, 2 * len(self._credit)), np.float32)
            grown[: len(self._credit)] = self._credit
            self._credit = grown
        has, fits = self._kept.has(users), self._kept.fits(pairs) & (pairs > 0)
        built = building_us(pairs, k)
        if self._kind == "rls":
            choice = _Choice(fits, fits, built / change_us(k))
        else:
            otherwise, renewed = descent_us(pairs, k), renewal_us(pairs, k)
            pays = fits & (otherwise > WORTH_IT * renewed)
            new = pays & ~has
            self._credit[users[new]] += (otherwise - renewed)[new].astype(np.float32)
            credit = self._credit[users]
            may_build = credit >= built
            most = np.maximum(1.0, (otherwise + np.maximum(credit, 0.0) - comparison_us(pairs)) / change_us(k))
            choice = _Choice(pays & (has | may_build), may_build, most)
        hits = int((choice.chosen & has).sum())
        self._counting.looked_up(hits, int(choice.chosen.sum()) - hits)
        return choice

    def _settle(self, users: Handles, pairs: Handles, how: NDArray[np.int8], changed: Handles) -> None:
        """Credit users with what their systems have saved, and charge what they have cost."""
        k = self._factors.shape[1]
        built = building_us(pairs, k)
        saved = descent_us(pairs, k) - comparison_us(pairs) - change_us(k) * changed
        credit = self._credit[users].astype(np.float64)
        credit = np.where(how == RENEWED, np.minimum(credit + saved, MOST_CREDIT * built), credit)
        credit = np.where(how == BUILT, credit - built, credit)
        self._credit[users] = np.where(how == UNSOLVED, -IN_VAIN * built, credit)


class _Choice(NamedTuple):
    """Who is to be solved by a system that is kept, or will be: bool[m]; may be built: bool[m]; and `most_changes`."""

    chosen: NDArray[np.bool_]
    may_build: NDArray[np.bool_]
    most_changes: NDArray[np.float64]


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
