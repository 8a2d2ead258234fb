"""How good items' factors are for users whom they have not seen: strong generalisation (Liang et al. 2018).

A sample of users is held out of the training; four fifths of each one's items are folded in, and the rest has to come
first among all items that were not folded in.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from oryx_py.numerics.arrays import DoubleMatrix, DoubleVector, FloatMatrix, IntVector
from oryx_py.numerics.compiled.compiling import compiled
from oryx_py.numerics.fold_in.batched import fold_in_many
from oryx_py.numerics.fold_in.dense import Prior
from oryx_py.numerics.objective import Objective

__all__ = ["HeldOut", "hold_out", "ndcg_at_10", "rmse", "sample"]

SHARE, MOST, FEWEST = 0.02, 2000, 100
"""Of the users who have something to hold out; where that is little a tenth of them, up to ``FEWEST``."""

WORTH = 500
"""Users with something to hold out below which there is no validation: a tenth of fewer would say nothing."""

LEAST_PAIRS = 5
"""Positive pairs of a user who may be held out."""

TARGETS = 0.2
"""Share of a held-out user's pairs that has to be found."""

_SCORE_BYTES = 32 << 20
_K = 10


class HeldOut(NamedTuple):
    """Histories of users, compressed: what is folded in, and what has to be found.

    ``indptr`` int64[h + 1], ``indices`` int32 and ``strengths`` float64; ``target_indptr`` int64[h + 1], ``targets``
    int32, ascending, and ``target_strengths`` float64.
    """

    users: IntVector
    indptr: IntVector
    indices: NDArray[np.int32]
    strengths: DoubleVector
    target_indptr: IntVector
    targets: NDArray[np.int32]
    target_strengths: DoubleVector


def sample(indptr: IntVector, rng: np.random.Generator) -> IntVector:
    """Return the users to be held out, ascending; none where there are too few. ``indptr`` is of all histories."""
    able = np.flatnonzero(np.diff(indptr) >= LEAST_PAIRS)
    if len(able) < WORTH:
        return np.empty(0, np.int64)
    count = min(MOST, max(int(SHARE * len(able)), min(FEWEST, len(able) // 10)))
    return np.sort(rng.choice(able, count, replace=False))


def hold_out(
    users: IntVector,
    indptr: IntVector,
    indices: NDArray[np.int32],
    strengths: DoubleVector,
    rng: np.random.Generator,
    *,
    positive: bool = True,
) -> HeldOut:
    """Split the histories of these users.

    Args:
        users: rows.
        indptr, indices, strengths: the histories of all users, perhaps mapped.
        rng: who chooses.
        positive: only pairs of positive strength are targets; all of them otherwise.
    """
    folded: list[IntVector] = []
    found: list[IntVector] = []
    for user in users.tolist():
        pairs = np.arange(indptr[user], indptr[user + 1])
        able = pairs[strengths[pairs] > 0] if positive else pairs
        targets = np.sort(rng.choice(able, round(TARGETS * len(able)), replace=False)) if len(able) else able
        found.append(targets)
        folded.append(np.setdiff1d(pairs, targets, assume_unique=True))
    kept, wanted = (np.concatenate([np.empty(0, np.int64), *each]) for each in (folded, found))
    return HeldOut(
        users,
        _indptr(folded),
        np.asarray(indices[kept]),
        np.asarray(strengths[kept]),
        _indptr(found),
        np.asarray(indices[wanted]),
        np.asarray(strengths[wanted]),
    )


def _indptr(rows: list[IntVector]) -> IntVector:
    return np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)


def ndcg_at_10(
    held: HeldOut, items: FloatMatrix, gram: DoubleMatrix, objective: Objective, *, threads: int = 1
) -> float:
    """Return the mean nDCG@10 of the targets, among all items but those folded in; NaN without targets.

    Of equal scores the lower row comes first. Users without a target do not count.
    """
    X = _folded(held, items, gram, objective, threads)

    def work(first: int, last: int) -> tuple[float, int]:
        scores = X[first:last] @ items.T
        return gains(scores, held.indptr[first:], held.indices, held.target_indptr[first:], held.targets, _DISCOUNTS)

    parts = _chunks(len(X), max(1, _SCORE_BYTES // (4 * max(1, len(items)))), work, threads)
    total, users = sum(part[0] for part in parts), sum(part[1] for part in parts)
    return total / users if users else float("nan")


def rmse(held: HeldOut, items: FloatMatrix, gram: DoubleMatrix, objective: Objective, *, threads: int = 1) -> float:
    """Return the root of the mean squared error of the targets' strengths; NaN without targets."""
    X = _folded(held, items, gram, objective, threads).astype(np.float64)
    rows = np.repeat(np.arange(len(X)), np.diff(held.target_indptr))
    errors = np.einsum("ij,ij->i", X[rows], items[held.targets].astype(np.float64)) - held.target_strengths
    return float(np.sqrt(np.mean(errors**2))) if len(errors) else float("nan")


def _folded(held: HeldOut, items: FloatMatrix, gram: DoubleMatrix, objective: Objective, threads: int) -> FloatMatrix:
    prior = Prior(gram, len(items), of="items")
    return fold_in_many(held.indptr, held.indices, held.strengths, items, prior, objective, threads=threads)


def _chunks(
    rows: int, size: int, work: Callable[[int, int], tuple[float, int]], threads: int
) -> list[tuple[float, int]]:
    firsts = range(0, rows, size)
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda first: work(first, min(first + size, rows)), firsts))


_DISCOUNTS = 1.0 / np.log2(np.arange(2.0, _K + 2.0))


@compiled
def gains(
    scores: FloatMatrix,
    indptr: IntVector,
    indices: NDArray[np.int32],
    target_indptr: IntVector,
    targets: NDArray[np.int32],
    discounts: DoubleVector,
) -> tuple[float, int]:
    """Return the sum of the rows' nDCG and the number of rows that have a target.

    ``scores`` float32[h, r] is written to: what is folded in never comes first. The two ``indptr`` int64 have at least
    h + 1 entries; a row's targets ascend.
    """
    k = len(discounts)
    best = np.empty(k, np.int64)
    total = 0.0
    counted = 0
    for row in range(len(scores)):
        wanted = targets[target_indptr[row] : target_indptr[row + 1]]
        if len(wanted) == 0:
            continue
        counted += 1
        for i in range(indptr[row], indptr[row + 1]):
            scores[row, indices[i]] = -np.inf
        n = 0
        for item in range(scores.shape[1]):
            score = scores[row, item]
            if score == -np.inf or (n == k and not score > scores[row, best[k - 1]]):
                continue
            at = min(n, k - 1)
            while at > 0 and score > scores[row, best[at - 1]]:
                best[at] = best[at - 1]
                at -= 1
            best[at] = item
            n = min(n + 1, k)
        gain = ideal = 0.0
        for at in range(n):
            place = np.searchsorted(wanted, best[at])
            if place < len(wanted) and wanted[place] == best[at]:
                gain += discounts[at]
        for at in range(min(k, len(wanted))):
            ideal += discounts[at]
        total += gain / ideal
    return total, counted
