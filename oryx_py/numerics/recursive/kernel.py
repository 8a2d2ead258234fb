"""The compiled steps of recursive least squares: one system kept, and changed by the pairs that changed.

Of a row is kept ``A = g YᵀY + Σ w_i y_i y_iᵀ`` (without λ), b, the solution x, and ``P ≈ (A + λ I)⁻¹``. When a pair's
(w, t) changes by Δw, Δt::

    A ← A + Δw y yᵀ    b ← b + Δt y    P ← P − Δw (P y)(P y)ᵀ / (1 + Δw yᵀP y)

and then ``x ← x + P (b − (A + λ I) x)`` until the residual says that x is as near as asked for. λ grows with the
row's pairs, which is no change of rank 1: P lags behind it, and the refinement makes up for that. O(k²), whatever the
history's length.

What rounding has left in A and b is bounded, and so is what that means for x; beyond a bound the row is built again
from its history. Each addition rounds what it adds and what it comes to: however small the changes are, many of them to
a large A leave as much as large ones.

Source: Haykin, "Adaptive Filter Theory", chapter on recursive least squares; the refinement is Wilkinson's.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from oryx_py.numerics.arrays import BoolVector, DoubleMatrix, DoubleVector, FloatMatrix, IntVector
from oryx_py.numerics.basis import Basis
from oryx_py.numerics.compiled.compiling import compiled, part
from oryx_py.numerics.compiled.loops import dot, product, smallest
from oryx_py.numerics.fold_in.conjugate_gradients import ERROR

__all__ = ["Side", "States", "least_of", "refine", "renew"]

ROUNDS = 3
"""Corrections before P is built again."""
NEARLY = 1e-4
"""A change that leaves less than this share of ``yᵀP y`` makes P anew: what is subtracted would drown the rest."""
DRIFT = 0.5 * ERROR
"""Share of x that the rounding of A and b may come to; the residual has the rest."""
EPSILON = 2.3e-16


class States(NamedTuple):
    """Systems kept, by slot: ``A`` and ``P`` float64[c, k, k], ``b`` and ``x`` float64[c, k].

    ``added`` float64[c, 2]: what was rounded since the slot was built, the sums of ``|Δw| ‖y‖² + tr A`` and
    ``|Δt| ‖y‖ + ‖b‖`` over all changes; ``tr |A|`` bounds the norm of what rounding its entries leaves.
    """

    A: NDArray[np.float64]
    P: NDArray[np.float64]
    b: DoubleMatrix
    x: DoubleMatrix
    added: DoubleMatrix


class Side(NamedTuple):
    """What all rows of a call have in common; as `oryx_py.numerics.fold_in.kernel.solve_rows` takes it."""

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
    for j in range(k):
        b[j] += dt * y[j]
    added[1] += abs(dt) * np.sqrt(yy) + np.sqrt(dot(b, b))
    if dw == 0.0:
        return True
    trace = 0.0
    for i in range(k):
        c = dw * y[i]
        for j in range(k):
            A[i, j] += c * y[j]
        trace += abs(A[i, i])
    added[0] += abs(dw) * yy + trace
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
