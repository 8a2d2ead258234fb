"""A history's vectors side by side, where every pass over them finds them; and the next one's on their way."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from oryx_py.numerics.arrays import DoubleVector, FloatMatrix, FloatVector, IntVector
from oryx_py.numerics.compiled.aligned import aligned
from oryx_py.numerics.compiled.compiling import lean_part
from oryx_py.numerics.compiled.lanes import ROWS
from oryx_py.numerics.compiled.prefetching import prefetch

LINE = 16
"""Floats of a line of the processor's cache."""

AHEAD = 16
"""Rows that are on their way from memory, at least, while one is copied."""

MOST = 1 << 20
"""Floats of vectors that are gathered (4 MiB); caches would not hold more anyway."""


class Coming(NamedTuple):
    """Vectors that are wanted soon: those of ``factors`` float32[r, k] at ``indices`` int32[n].

    ``span`` int64[2]: which of the indices comes next, and before which to stop.
    """

    factors: FloatMatrix
    indices: NDArray[np.int32]
    span: IntVector


class Gathered(NamedTuple):
    """Room for the pairs of one history that have a weight or a target.

    ``rows`` int32[n], which of the factors each is; ``w`` and ``t`` float64[n], weights and targets, and both in
    float32. ``Y`` float32[m, K] are the vectors, filled up with zeros on the right; where m < n, those of the first.
    """

    rows: NDArray[np.int32]
    w: DoubleVector
    t: DoubleVector
    rough_w: FloatVector
    rough_t: FloatVector
    Y: FloatMatrix


def room_for(longest: int, width: int) -> Gathered:
    """Return room for histories of at most so many pairs."""
    pairs = longest + ROWS
    Y = aligned(min(longest, MOST // width) + ROWS, width)
    Y[:] = 0.0
    exact, rough = (np.empty((2, pairs), kind) for kind in (np.float64, np.float32))
    return Gathered(np.empty(pairs, np.int32), exact[0], exact[1], rough[0], rough[1], Y)


@lean_part
def prefetch_coming(coming: Coming) -> None:
    """Let the next vector come from memory, if there is one to come."""
    if coming.span[0] < coming.span[1]:
        row = coming.indices[coming.span[0]]
        for j in range(0, coming.factors.shape[1], LINE):
            prefetch(coming.factors, row, j)
        coming.span[0] += 1


@lean_part
def all_fit(gathered: Gathered, n: int) -> bool:
    """Whether the vectors of all of n pairs are there."""
    return n <= len(gathered.Y) - ROWS


@lean_part
def gather(
    coming: Coming, w: DoubleVector, t: DoubleVector, first: int, last: int, left_out: int, into: Gathered
) -> int:
    """Gather the pairs from ``first`` to before ``last``; returns how many have a weight or a target.

    Behind them are zeros, as many as are worked on at once. The column ``left_out`` counts as 0; -1 for none.
    """
    coming.span[0] = max(coming.span[0], first)
    n, k = 0, coming.factors.shape[1]
    for i in range(first, last):
        if coming.span[0] < min(i + AHEAD, last):
            prefetch_coming(coming)
        if w[i] > 0.0 or t[i] != 0.0:
            row = coming.indices[i]
            if n < len(into.Y) - ROWS:
                for j in range(k):
                    into.Y[n, j] = coming.factors[row, j]
                if left_out >= 0:
                    into.Y[n, left_out] = 0.0
            into.rows[n] = row
            into.w[n], into.rough_w[n] = w[i], np.float32(w[i])
            into.t[n], into.rough_t[n] = t[i], np.float32(t[i])
            n += 1
    for i in range(n, n + ROWS):
        into.w[i] = into.t[i] = 0.0
        into.rough_w[i] = into.rough_t[i] = np.float32(0.0)
        if i < len(into.Y):
            for j in range(into.Y.shape[1]):
                into.Y[i, j] = np.float32(0.0)
    return n
