"""The compiled steps of recursive least squares: one system kept, and changed by the pairs that changed.

Of a row is kept ``A = g YᵀY + Σ w_i y_i y_iᵀ`` (without λ), b, the solution x, and ``P ≈ (A + λ I)⁻¹``. When a pair's
(w, t) changes by Δw, Δt::

    A ← A + Δw y yᵀ    b ← b + Δt y    P ← P − Δw (P y)(P y)ᵀ / (1 + Δw yᵀP y)

and then ``x ← x + P (b − (A + λ I) x)`` until the residual says that x is as near as asked for. λ grows with the
row's pairs, which is no change of rank 1: P lags behind it, and the refinement makes up for that. O(k²), whatever the
history's length.

What rounding has left in A and b is bounded by what was added in all, and so is what that means for x; beyond a bound
the row is built again from its history.

Source: Haykin, "Adaptive Filter Theory", chapter on recursive least squares; the refinement is Wilkinson's.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from oryx_py.numerics.arrays import BoolVector, DoubleMatrix, DoubleVector, FloatMatrix, IntVector
from oryx_py.numerics.basis import Basis
from oryx_py.numerics.cholesky import add_history, cholesky
from oryx_py.numerics.compiling import compiled, part
from oryx_py.numerics.descent import ERROR
from oryx_py.numerics.loops import dot, largest, product, smallest

ROUNDS = 3
"""Corrections before P is built again."""
NEARLY = 1e-4
"""A change that leaves less than this share of ``yᵀP y`` makes P anew: what is subtracted would drown the rest."""
DRIFT = 0.05 * ERROR
"""Share of x that the rounding of A and b may come to."""
EPSILON = 2.3e-16


class States(NamedTuple):
    """Systems kept, by slot: ``A`` and ``P`` float64[c, k, k], ``b`` and ``x`` float64[c, k].

    ``added`` float64[c, 2]: the sums of ``|Δw| ‖y‖²`` and ``|Δt| ‖y‖`` since the slot was built.
    """

    A: NDArray[np.float64]
    P: NDArray[np.float64]
    b: DoubleMatrix
    x: DoubleMatrix
    added: DoubleMatrix


class Side(NamedTuple):
    """What all rows of a call have in common; as `oryx_py.numerics.kernel.solve_rows` takes it."""

    factors: FloatMatrix
    gram: DoubleMatrix
    g: float
    plain: Basis
    turned: Basis
    left_out: int


@part
def least_of(side: Side, turned: bool, ridge: float) -> float:
    """A lower bound of the system's eigenvalues."""
    if turned:
        return side.g * smallest(side.turned.values) + ridge
    return side.g * smallest(side.plain.values) + ridge - 2.0 * side.g * side.plain.spilled


@part
def add_pair(
    A: DoubleMatrix,
    P: DoubleMatrix,
    b: DoubleVector,
    added: DoubleVector,
    y: DoubleVector,
    dw: float,
    dt: float,
    Py: DoubleVector,
) -> bool:
    """Take in one pair's change; False where P did not: it is to be built again."""
    k = len(b)
    yy = dot(y, y)
    added[0] += abs(dw) * yy
    added[1] += abs(dt) * np.sqrt(yy)
    for j in range(k):
        b[j] += dt * y[j]
    if dw == 0.0:
        return True
    for i in range(k):
        c = dw * y[i]
        for j in range(k):
            A[i, j] += c * y[j]
    product(P, y, Py)
    share = 1.0 + dw * dot(y, Py)
    if not share > NEARLY:
        return False
    c = dw / share
    for i in range(k):
        e = c * Py[i]
        for j in range(k):
            P[i, j] -= e * Py[j]
    return True


@part
def refine(
    A: DoubleMatrix,
    P: DoubleMatrix,
    b: DoubleVector,
    x: DoubleVector,
    added: DoubleVector,
    ridge: float,
    least: float,
    r: DoubleVector,
    d: DoubleVector,
) -> bool:
    """Correct x until ``‖x − x*‖ ≤ ERROR ‖x‖`` by the bound that the residual gives; False if it does not get there."""
    k = len(x)
    for turn in range(ROUNDS + 1):
        product(A, x, r)
        for j in range(k):
            r[j] = b[j] - r[j] - ridge * x[j]
        size = np.sqrt(dot(x, x))
        drift = EPSILON * (added[0] * size + added[1])
        if np.sqrt(dot(r, r)) + drift <= ERROR * least * size:
            return bool(drift <= DRIFT * least * size)
        if turn < ROUNDS:
            product(P, r, d)
            for j in range(k):
                x[j] += d[j]
    return False


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
        for i in range(k):
            b[i] = 0.0
            for j in range(k):
                A[i, j] = side.g * side.gram[i, j]
        added[0] = added[1] = 0.0
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


@compiled
def renew(
    slots: IntVector,
    indptr: IntVector,
    rows: NDArray[np.int32],
    dw: DoubleVector,
    dt: DoubleVector,
    ridges: DoubleVector,
    turn: BoolVector,
    side: Side,
    states: States,
    X: FloatMatrix,
) -> BoolVector:
    """Take the changes of m rows into their slots, and solve them into ``X`` float32[m, k].

    ``indptr`` int64[m + 1] begins at 0: whose changed pairs are whose; ``rows`` int32[n] of the factors, ``dw`` and
    ``dt`` float64[n]. Returns bool[m], false for what is to be built again from its history.
    """
    m, k = X.shape
    solved = np.zeros(m, dtype=np.bool_)
    y, Py, r = np.empty(k), np.empty(k), np.empty(k)
    for row in range(m):
        slot = slots[row]
        A, P, b, x, added = states.A[slot], states.P[slot], states.b[slot], states.x[slot], states.added[slot]
        regular = True
        for at in range(indptr[row], indptr[row + 1]):
            for j in range(k):
                y[j] = side.factors[rows[at], j]
            if side.left_out >= 0:
                y[side.left_out] = 0.0
            regular = add_pair(A, P, b, added, y, dw[at], dt[at], Py) and regular
        least = least_of(side, turn[row], ridges[row])
        if regular and least > 0.0:
            solved[row] = refine(A, P, b, x, added, ridges[row], least, r, Py)
        for j in range(k):
            X[row, j] = x[j] if solved[row] else 0.0
    return solved


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
