"""The compiled kernel behind ``fold_in_many``: conjugate gradients, and Cholesky where they do not pay.

Everything is float64 except the vectors, which are read as they are, and the descent between two residuals. Each row is
computed from its own pairs alone.
"""

import numpy as np
from numpy.typing import NDArray

from oryx_py.numerics.arrays import BoolVector, DoubleMatrix, DoubleVector, FloatMatrix, IntVector
from oryx_py.numerics.basis import Basis
from oryx_py.numerics.cholesky import by_cholesky
from oryx_py.numerics.compiling import compiled, part
from oryx_py.numerics.descent import by_conjugate_gradients
from oryx_py.numerics.loops import largest

GATHERED = 1 << 20
"""Floats of history vectors that conjugate gradients may gather (4 MiB); caches would not hold more anyway."""

NOTHING, DESCENT, FACTORS, SINGULARLY = 0, 1, 2, 3
"""What solved a row: b = 0 needs nothing; conjugate gradients; Cholesky; neither, since it is singular in float64."""


@part
def gather(
    factors: FloatMatrix,
    indices: NDArray[np.int32],
    w: DoubleVector,
    first: int,
    last: int,
    left_out: int,
    rows: NDArray[np.int32],
    weights: DoubleVector,
    Y: FloatMatrix,
) -> int:
    """Put pairs that have a weight into ``rows`` and ``weights``, and their vectors into ``Y``; returns their number.

    Nothing but copying, so that many rows are on their way from memory at a time.
    """
    n = 0
    for i in range(first, last):
        if w[i] > 0.0:
            if n < len(Y):
                row = indices[i]
                for j in range(Y.shape[1]):
                    Y[n, j] = factors[row, j]
                if left_out >= 0:
                    Y[n, left_out] = 0.0
            rows[n] = indices[i]
            weights[n] = w[i]
            n += 1
    return n


@part
def read_history(
    factors: FloatMatrix,
    indices: NDArray[np.int32],
    w: DoubleVector,
    t: DoubleVector,
    first: int,
    last: int,
    left_out: int,
    rows: NDArray[np.int32],
    weights: DoubleVector,
    b: DoubleVector,
    Y: FloatMatrix,
) -> int:
    """Put ``Σ t_i y_i`` into b, and pairs that have a weight into ``rows`` and ``weights``; returns their number.

    Their vectors go into ``Y``, as many as it has room for.
    """
    for j in range(len(b)):
        b[j] = 0.0
    count = gather(factors, indices, w, first, last, left_out, rows, weights, Y)
    n = 0
    for i in range(first, last):
        if t[i] != 0.0:
            if w[i] > 0.0 and n < len(Y):
                for j in range(len(b)):
                    b[j] += t[i] * Y[n, j]
            else:
                for j in range(len(b)):
                    b[j] += t[i] * factors[indices[i], j]
        if w[i] > 0.0:
            n += 1
    if left_out >= 0:
        b[left_out] = 0.0
    return count


@compiled
def solve_rows(
    indptr: IntVector,
    indices: NDArray[np.int32],
    w: DoubleVector,
    t: DoubleVector,
    ridges: DoubleVector,
    factors: FloatMatrix,
    gram: DoubleMatrix,
    g: float,
    plain: Basis,
    turned: Basis,
    turn: BoolVector,
    singular: float,
    left_out: int,
    X: FloatMatrix,
) -> NDArray[np.int8]:
    """Solve m systems into ``X`` float32[m, k]; returns int8[m], what each was solved by.

    ``indptr`` int64[m + 1] begins at 0; ``w`` and ``t`` float64 by pair; ``ridges`` float64[m]; ``turn`` bool[m] says
    which rows take the basis ``turned``; a pivot of less than ``singular`` times its entry stands for 0. The column
    ``left_out`` of the factors counts as 0, and so is X's; -1 for none. Rows then take the basis ``plain``, since
    another mixes the columns.
    """
    m, k = X.shape
    how = np.empty(m, dtype=np.int8)
    longest = 0
    for row in range(m):
        longest = max(longest, indptr[row + 1] - indptr[row])
    rows = np.empty(longest, dtype=np.int32)
    weights = np.empty(longest)
    Y = np.empty((min(longest, GATHERED // k), k), dtype=np.float32)
    rough_w = np.empty(longest, dtype=np.float32)
    scratch = np.empty((7, k))
    rough = np.empty((7, k), dtype=np.float32)
    A = np.empty((k, k))
    b = np.empty(k)
    for row in range(m):
        n = read_history(factors, indices, w, t, indptr[row], indptr[row + 1], left_out, rows, weights, b, Y)
        basis = turned if turn[row] else plain
        ridge = ridges[row]
        if not largest(b) > 0.0:
            how[row] = NOTHING
        elif by_conjugate_gradients(weights, n, basis, g, ridge, b, Y, rough_w, scratch, rough):
            how[row] = DESCENT
        elif by_cholesky(factors, rows, weights, n, gram, g, ridge, b, left_out, A, singular, scratch):
            how[row] = FACTORS
        else:
            how[row] = SINGULARLY
        for j in range(k):
            X[row, j] = b[j]
    return how
