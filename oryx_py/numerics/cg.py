"""Fold-in of many rows at once, as fast as this machine can within the contract's error."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oryx_py.numerics.arrays import DoubleVector, FloatMatrix, IntVector
from oryx_py.numerics.fold_in import SINGULAR, Prior, fold_in, side_of
from oryx_py.numerics.kernel import solve_rows, weigh_rows
from oryx_py.numerics.objective import STRENGTH_LIMIT, Objective

_CHUNK = 1 << 18
"""Pairs that one call of the kernel takes: 4 MiB of weights and targets."""

_SPILL = 1e-2
"""Off-diagonal part of ``g YᵀY``, relative to the prior's least entry, up to which the factors' own basis serves."""


def fold_in_many(
    indptr: IntVector,
    indices: NDArray[np.integer],
    strengths: DoubleVector,
    factors: FloatMatrix,
    prior: Prior,
    objective: Objective,
    *,
    threads: int = 1,
) -> FloatMatrix:
    """Solve the systems of m users (or items) whose histories are the rows of a CSR matrix; float32[m, k].

    ``indptr`` int64[m + 1]; ``indices`` int[nnz] are rows of ``factors`` float32[r, k], the other side's; ``strengths``
    float64[nnz] are folded (NaN: gone). ``factors`` may be mapped, and lack rows that ``prior`` counts, or have more.
    Where b = 0 the row is 0; also where the solution is beyond float32, as without regularisation it may be. With
    biases the rows are vectors as published, and 0 means the biases and factors, not the column of ones.

    Each row equals ``fold_in`` of its history to a relative error of 1e-6 (and the rounding to float32) for systems of
    condition up to 1e6. It depends on nothing but its own history: not on the other rows, nor on ``threads``; the same
    call gives the same bits. Safe to call from several threads; the interpreter's lock is released while rows are
    solved. The first call in a process loads or compiles the kernel: a call with no rows (indptr ``[0]``) does that.

    Measured by ``tests.bench.fold_in`` for 32 to 200 features, against ``fold_in`` row by row: 8 to 34 times as fast
    for 27 pairs, 7 to 18 times for 75, 3.5 to 9 times for 300, 1.4 to 5 times for 2,000.

    Raises:
        ValueError: The arrays do not fit together, or an index is not a row of ``factors``; or the objective has
            biases, and ``prior`` does not say whose rows are fixed.
    """
    indptr, indices = np.asarray(indptr, dtype=np.int64), np.asarray(indices)
    strengths = np.asarray(strengths, dtype=np.float64)
    _check(indptr, indices, strengths, factors, prior)
    m, k = len(indptr) - 1, factors.shape[1]
    X = np.empty((m, k), dtype=np.float32)
    factors = _frozen(factors, np.float32)
    pairs = int(indptr[-1] - indptr[0])
    size = min(_CHUNK, -(-pairs // (4 * threads))) if threads > 1 else _CHUNK
    chunks = _chunks(indptr, size)

    def work(chunk: slice) -> None:
        _solve(indptr[chunk.start : chunk.stop + 1], indices, strengths, factors, prior, objective, X[chunk])

    if threads > 1 and len(chunks) > 1:
        with ThreadPoolExecutor(min(threads, len(chunks))) as pool:
            for _ in pool.map(work, chunks):
                pass
    else:
        for chunk in chunks:
            work(chunk)
    if (beyond := ~np.isfinite(X).all(axis=1)).any():
        X[beyond] = fold_in(np.empty(0), factors[:0], prior, objective)
    return X


def weighed(
    indptr: IntVector, strengths: DoubleVector, objective: Objective
) -> tuple[DoubleVector, DoubleVector, IntVector]:
    """Return what `Objective.weights` does, in one pass: weights and targets by pair, and int64[m], each row's n."""
    w, t = np.empty(len(strengths)), np.empty(len(strengths))
    explicit, positive = objective.feedback == "explicit", objective.counts == "positive"
    epsilon = objective.epsilon if objective.log_strength else 0.0
    constants = objective.alpha, objective.kappa, epsilon, positive, STRENGTH_LIMIT
    return w, t, weigh_rows(indptr, _frozen(strengths, np.float64), explicit, *constants, w, t)


def _solve(
    indptr: IntVector,
    indices: NDArray[np.integer],
    strengths: DoubleVector,
    factors: FloatMatrix,
    prior: Prior,
    objective: Objective,
    X: FloatMatrix,
) -> None:
    """Solve the rows of one chunk into ``X``."""
    pairs = slice(int(indptr[0]), int(indptr[-1]))
    indptr = indptr - pairs.start
    strengths = strengths[pairs]
    rows: NDArray[np.int32] = _frozen(indices[pairs], np.int32)
    w, t, counted = weighed(indptr, strengths, objective)
    ridges = objective.ridges(counted, prior.rows)
    g, plain = objective.g, prior.plain
    turn = g * plain.spilled > _SPILL * (g * plain.values.min() + ridges)
    turned = prior.turned if turn.any() else plain
    column = -1
    if objective.biases is not None:
        fixed = side_of(prior)
        column = objective.biases.column(fixed)
        t = np.where(w > 0, t - objective.biases.offsets(factors[rows, column], fixed), 0.0)
    failed = solve_rows(indptr, rows, w, t, ridges, factors, prior.gram, g, plain, turned, turn, SINGULAR, column, X)
    if objective.biases is not None:
        objective.biases.publish(X, fixed)
    for row in np.flatnonzero(failed):
        history = slice(indptr[row], indptr[row + 1])
        with np.errstate(over="ignore"):  # what is beyond float32 is seen by whoever asked for all rows
            X[row] = fold_in(strengths[history], factors[rows[history]], prior, objective)


def _chunks(indptr: IntVector, size: int) -> list[slice]:
    """Consecutive rows of about ``size`` pairs and at least one row."""
    cuts = [0]
    m = len(indptr) - 1
    while cuts[-1] < m:
        stop = int(np.searchsorted(indptr, indptr[cuts[-1]] + size, side="right")) - 1
        cuts.append(min(max(stop, cuts[-1] + 1), m))
    return [slice(start, stop) for start, stop in itertools.pairwise(cuts)] or [slice(0, 0)]


def _frozen(array: NDArray[Any], dtype: type[np.generic]) -> NDArray[Any]:
    """The same values, contiguous and not writeable, so that the kernel is compiled for one kind of array alone."""
    view = np.ascontiguousarray(array, dtype=dtype).view(np.ndarray)
    view.flags.writeable = False
    return view


def _check(
    indptr: IntVector, indices: NDArray[np.integer], strengths: DoubleVector, factors: FloatMatrix, prior: Prior
) -> None:
    if factors.ndim != 2 or prior.gram.shape[0] != factors.shape[1]:
        raise ValueError(f"factors of shape {factors.shape} do not go with a Gram matrix of shape {prior.gram.shape}")
    if len(indices) != len(strengths):
        raise ValueError(f"{len(indices)} indices do not go with {len(strengths)} strengths")
    if len(indptr) == 0 or indptr[0] < 0 or indptr[-1] > len(indices) or np.any(np.diff(indptr) < 0):
        raise ValueError(f"indptr must not fall, and stay within 0 and {len(indices)}")
    used = indices[indptr[0] : indptr[-1]]
    if len(used) and (used.min() < 0 or used.max() >= len(factors)):
        raise ValueError(f"indices must be rows of the {len(factors)} factors")
