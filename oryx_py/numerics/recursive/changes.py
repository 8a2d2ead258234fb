"""Recursive least squares: what has changed of a row's history since its system was built or renewed."""

import numpy as np
from numpy.typing import NDArray

from oryx_py.numerics.arrays import DoubleVector, IntVector
from oryx_py.numerics.compiled.compiling import compiled

__all__ = ["differences"]


@compiled
def differences(
    indptr: IntVector,
    rows: NDArray[np.int32],
    w: DoubleVector,
    t: DoubleVector,
    old_indptr: IntVector,
    old_rows: NDArray[np.int32],
    old_w: DoubleVector,
    old_t: DoubleVector,
    places: NDArray[np.int32],
    found: IntVector,
    found_rows: NDArray[np.int32],
    dw: DoubleVector,
    dt: DoubleVector,
) -> None:
    """Compare m histories with what they were, no pair twice in any; in whatever order their pairs stand.

    ``places`` int32[factors' rows] is all -1, and is so again afterwards. ``found`` int64[m + 1] is told whose changes
    are whose; ``found_rows``, ``dw`` and ``dt``, which have room for all pairs of both, what they are.
    """
    to = 0
    found[0] = 0
    for row in range(len(indptr) - 1):
        for at in range(old_indptr[row], old_indptr[row + 1]):
            places[old_rows[at]] = at
        for at in range(indptr[row], indptr[row + 1]):
            before = places[rows[at]]
            by_w, by_t = w[at], t[at]
            if before >= 0:
                by_w -= old_w[before]
                by_t -= old_t[before]
                places[rows[at]] = -1
            if by_w != 0.0 or by_t != 0.0:
                found_rows[to], dw[to], dt[to] = rows[at], by_w, by_t
                to += 1
        for at in range(old_indptr[row], old_indptr[row + 1]):
            if places[old_rows[at]] >= 0:
                places[old_rows[at]] = -1
                if old_w[at] != 0.0 or old_t[at] != 0.0:
                    found_rows[to], dw[to], dt[to] = old_rows[at], -old_w[at], -old_t[at]
                    to += 1
        found[row + 1] = to
