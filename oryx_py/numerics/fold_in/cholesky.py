"""The system formed and factored, for rows with more pairs than conjugate gradients pay for."""

import numpy as np
from numpy.typing import NDArray

from oryx_py.numerics.arrays import DoubleMatrix, DoubleVector, FloatMatrix
from oryx_py.numerics.compiled.compiling import lean_part
from oryx_py.numerics.compiled.loops import dot


@lean_part
def add_history(
    factors: FloatMatrix,
    rows: NDArray[np.int32],
    w: DoubleVector,
    n: int,
    left_out: int,
    A: DoubleMatrix,
    scratch: DoubleMatrix,
) -> None:
    """Add ``Σ w_i y_i y_iᵀ`` to the lower triangle of A, i over the first ``n`` of ``rows``."""
    k = len(A)
    y0, y1, y2, y3 = scratch[0], scratch[1], scratch[2], scratch[3]
    for i in range(0, n, 4):
        # Four rows at a time share the loads and stores of A; those beyond the last are zeros.
        for q in range(4):
            root = np.sqrt(w[i + q]) if i + q < n else 0.0
            row = rows[min(i + q, n - 1)]
            for j in range(k):
                scratch[q, j] = root * factors[row, j]
            if left_out >= 0:
                scratch[q, left_out] = 0.0
        for j in range(k):
            c0, c1, c2, c3 = y0[j], y1[j], y2[j], y3[j]
            for q in range(j + 1):
                A[j, q] += c0 * y0[q] + c1 * y1[q] + c2 * y2[q] + c3 * y3[q]


@lean_part
def cholesky(A: DoubleMatrix, b: DoubleVector, singular: float) -> bool:
    """Replace b by x, and A's lower triangle by its factor; False if a pivot is not above that share of its entry."""
    k = len(b)
    for i in range(k):
        for j in range(i):
            A[i, j] = (A[i, j] - dot(A[i, :j], A[j, :j])) / A[j, j]
        pivot = A[i, i] - dot(A[i, :i], A[i, :i])
        if not pivot > singular * A[i, i]:
            return False
        A[i, i] = np.sqrt(pivot)
    for i in range(k):
        b[i] = (b[i] - dot(A[i, :i], b[:i])) / A[i, i]
    for i in range(k - 1, -1, -1):
        b[i] /= A[i, i]
        for j in range(i):
            b[j] -= A[i, j] * b[i]
    return True


@lean_part
def by_cholesky(
    factors: FloatMatrix,
    rows: NDArray[np.int32],
    w: DoubleVector,
    n: int,
    gram: DoubleMatrix,
    g: float,
    ridge: float,
    b: DoubleVector,
    left_out: int,
    A: DoubleMatrix,
    singular: float,
    scratch: DoubleMatrix,
) -> bool:
    """Replace b by x; False if A is singular in float64."""
    for i in range(len(b)):
        for j in range(i + 1):
            A[i, j] = g * gram[i, j]
        A[i, i] += ridge
    if left_out >= 0:
        A[left_out, left_out] += 1.0  # regular without regularisation, too: there is nothing but 0 to solve for
    add_history(factors, rows, w, n, left_out, A, scratch)
    return cholesky(A, b, singular)
