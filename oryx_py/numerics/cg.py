"""Fold-in of many rows at once, as fast as this machine can within the contract's error."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from oryx_py.numerics.arrays import DoubleVector, FloatMatrix, IntVector
from oryx_py.numerics.fold_in import Prior, fold_in
from oryx_py.numerics.kernel import SPILL, solve_rows
from oryx_py.numerics.objective import Objective

_CHUNK = 1 << 18
"""Pairs that one call of the kernel takes: 4 MiB of weights and targets."""


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
    Where b = 0 the row is 0.

    Each row equals ``fold_in`` of its history to a relative error of 1e-6 (and the rounding to float32) for systems of
    condition up to 1e6. It depends on nothing but its own history: not on the other rows, nor on ``threads``; the same
    call gives the same bits. Safe to call from several threads; the interpreter's lock is released while rows are
    solved. The first call in a process loads or compiles the kernel: a call with no rows (indptr ``[0]``) does that.

    Raises:
        ValueError: The arrays do not fit together, or an index is not a row of ``factors``.
    """
    indptr, indices = np.asarray(indptr), np.asarray(indices)
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
    return X
