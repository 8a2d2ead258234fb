"""Compressed rows turned into compressed columns, on all cores, in arrays that may be mapped and larger than memory.

A counting sort: how many pairs each column has says where its pairs begin, and rows that are read in their order leave
every column ascending. Each thread has columns of its own and reads all pairs for them, so that no two write to the
same place, and the result is the same whatever the number of threads. Columns are taken in ranges whose output stays in
the memory, since it is written in no order; the input is read front to back, once for each range.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from oryx_py.numerics.arrays import DoubleVector, IntVector
from oryx_py.numerics.compiled.compiling import compiled

__all__ = ["column_counts", "transpose_into"]

_RANGE_BYTES = 1 << 30
"""Of all threads together: what is written to at random at the same time."""
_PAIR_BYTES = 12


def column_counts(indices: NDArray[np.int32], columns: int, *, threads: int = 1) -> IntVector:
    """Return int64[columns]: how often each column is among ``indices`` int32[n], all of them in 0 … columns - 1."""
    counts = np.zeros(columns, np.int64)
    edges = np.linspace(0, columns, threads + 1).astype(np.int64)
    _on_threads([(indices, int(lo), int(hi), counts) for lo, hi in pairwise(edges)], _count, threads)
    return counts


def transpose_into(
    indptr: IntVector,
    indices: NDArray[np.int32],
    strengths: DoubleVector,
    transposed: tuple[IntVector, NDArray[np.int32], DoubleVector],
    *,
    threads: int = 1,
    range_bytes: int = _RANGE_BYTES,
) -> None:
    """Write the columns of compressed rows into the arrays of their transpose, rows ascending within each.

    Args:
        indptr: int64[rows + 1].
        indices: int32[n], each in 0 … columns - 1, none twice in a row.
        strengths: float64[n].
        transposed: the same three the other way; indptr int64[columns + 1] is there already, from `column_counts`.
        threads: at work at the same time.
        range_bytes: what all of them write to at the same time.
    """
    starts, rows_out, strengths_out = transposed
    pairs = max(1, range_bytes // _PAIR_BYTES // threads)
    ranges = max(threads, -(-int(starts[-1]) // pairs))
    edges = np.searchsorted(starts, np.linspace(0, starts[-1], ranges + 1))
    edges[0], edges[-1] = 0, len(starts) - 1
    tasks = [
        (indptr, indices, strengths, starts, int(lo), int(hi), rows_out, strengths_out)
        for lo, hi in pairwise(edges)
        if starts[lo] < starts[hi]
    ]
    _on_threads(tasks, _scatter, threads)


def _on_threads(tasks: Sequence[tuple[object, ...]], work: Callable[..., None], threads: int) -> None:
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(lambda task: work(*task), tasks):
            pass


@compiled
def _count(indices: NDArray[np.int32], lo: int, hi: int, counts: IntVector) -> None:
    """Count the columns from ``lo`` to ``hi`` alone."""
    for at in range(len(indices)):
        column = indices[at]
        if lo <= column < hi:
            counts[column] += 1


@compiled
def _scatter(
    indptr: IntVector,
    indices: NDArray[np.int32],
    strengths: DoubleVector,
    starts: IntVector,
    lo: int,
    hi: int,
    rows_out: NDArray[np.int32],
    strengths_out: DoubleVector,
) -> None:
    """Bring the pairs of the columns from ``lo`` to ``hi`` to their places."""
    cursors = starts[lo:hi].copy()
    for row in range(len(indptr) - 1):
        for at in range(indptr[row], indptr[row + 1]):
            column = indices[at]
            if lo <= column < hi:
                to = cursors[column - lo]
                cursors[column - lo] = to + 1
                rows_out[to] = row
                strengths_out[to] = strengths[at]
