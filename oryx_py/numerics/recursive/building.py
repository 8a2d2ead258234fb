"""Recursive least squares: a system built from a row's history (`oryx_py.numerics.recursive.kernel`)."""

import numpy as np
from numpy.typing import NDArray

from oryx_py.numerics.arrays import BoolVector, DoubleMatrix, DoubleVector, FloatMatrix, IntVector
from oryx_py.numerics.compiled.compiling import compiled, part
from oryx_py.numerics.compiled.loops import largest, product
from oryx_py.numerics.fold_in.cholesky import add_history, cholesky
from oryx_py.numerics.recursive.kernel import Side, States, least_of, refine

__all__ = ["build"]


@part
def invert_factor(L: DoubleMatrix, e: DoubleVector) -> None:
    """Replace a lower triangle by its inverse; ``e`` is scratch."""
    for i in range(len(L)):
        # Rows above are inverted already, those below are still to be read.
        for j in range(i):
            e[j] = 0.0
        for q in range(i):
            c = L[i, q]
            for j in range(q + 1):
                e[j] -= c * L[q, j]
        pivot = 1.0 / L[i, i]
        for j in range(i):
            L[i, j] = pivot * e[j]
        L[i, i] = pivot


@part
def invert(A: DoubleMatrix, ridge: float, left_out: int, L: DoubleMatrix, P: DoubleMatrix, e: DoubleVector) -> bool:
    """``P = (A + λ I)⁻¹`` by Cholesky; False where it is singular. ``L`` and ``e`` are scratch."""
    k = len(A)
    for i in range(k):
        e[i] = 0.0
        for j in range(k):
            L[i, j] = A[i, j]
            P[i, j] = 0.0
        L[i, i] += ridge
    if left_out >= 0:
        L[left_out, left_out] += 1.0
    if not cholesky(L, e, 0.0):
        return False
    invert_factor(L, e)
    for i in range(k):
        for j in range(i + 1):
            c = L[i, j]
            for q in range(j + 1):
                P[j, q] += c * L[i, q]
    for i in range(k):
        for j in range(i):
            P[j, i] = P[i, j]
    return True


@compiled
def build(
    slots: IntVector,
    indptr: IntVector,
    rows: NDArray[np.int32],
    w: DoubleVector,
    t: DoubleVector,
    ridges: DoubleVector,
    turn: BoolVector,
    side: Side,
    states: States,
    X: FloatMatrix,
) -> BoolVector:
    """Put the systems of m histories into these slots, and their solutions into ``X`` float32[m, k].

    ``indptr`` int64[m + 1] begins at 0; ``rows`` are int32[n] of the factors, ``w`` and ``t`` float64[n]. Returns
    bool[m], false for what cannot be solved so: then the slot has nothing.
    """
    m, k = X.shape
    solved = np.zeros(m, dtype=np.bool_)
    scratch, L = np.empty((4, k)), np.empty((k, k))
    r, d = np.empty(k), np.empty(k)
    for row in range(m):
        slot, first, last = slots[row], indptr[row], indptr[row + 1]
        A, b, x, added = states.A[slot], states.b[slot], states.x[slot], states.added[slot]
        added[0] = added[1] = 0.0
        for i in range(k):
            b[i] = 0.0
            for j in range(k):
                A[i, j] = side.g * side.gram[i, j]
            added[0] += A[i, i]
        for at in range(first, last):
            yy = 0.0
            for j in range(k):
                if j != side.left_out:
                    y = np.float64(side.factors[rows[at], j])
                    b[j] += t[at] * y
                    yy += y * y
            added[0] += abs(w[at]) * yy
            added[1] += abs(t[at]) * np.sqrt(yy)
        n = last - first
        if n > 0:
            add_history(side.factors, rows[first:last], w[first:last], n, side.left_out, A, scratch)
        for i in range(k):
            for j in range(i):
                A[j, i] = A[i, j]
        least = least_of(side, turn[row], ridges[row])
        if least > 0.0 and largest(b) > 0.0 and invert(A, ridges[row], side.left_out, L, states.P[slot], r):
            product(states.P[slot], b, x)
            solved[row] = refine(A, states.P[slot], b, x, added, ridges[row], least, r, d)
        for j in range(k):
            X[row, j] = x[j] if solved[row] else 0.0
    return solved
