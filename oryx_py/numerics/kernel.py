"""The compiled kernel behind ``fold_in_many``: conjugate gradients, and Cholesky where they do not pay.

Everything is float64 except the vectors, which are read as they are, and the descent between two residuals. Each row is
computed from its own pairs alone.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from oryx_py.numerics.aligned import aligned
from oryx_py.numerics.arrays import BoolVector, DoubleMatrix, DoubleVector, FloatMatrix, FloatVector, IntVector
from oryx_py.numerics.basis import Basis
from oryx_py.numerics.cholesky import by_cholesky
from oryx_py.numerics.compiling import lean, lean_part
from oryx_py.numerics.descent import by_conjugate_gradients
from oryx_py.numerics.lanes import LANES, ROWS, add_rows
from oryx_py.numerics.loops import largest
from oryx_py.numerics.rough_descent import Coming, Rough, prefetch_coming

AHEAD = 16
"""Rows that are on their way from memory, at least, while one is copied."""

GATHERED = 1 << 20
"""Floats of history vectors that conjugate gradients may gather (4 MiB); caches would not hold more anyway."""

NOTHING, DESCENT, FACTORS, SINGULARLY = 0, 1, 2, 3
"""What solved a row: b = 0 needs nothing; conjugate gradients; Cholesky; neither, since it is singular in float64."""


@lean_part
def gather(
    coming: Coming,
    w: DoubleVector,
    t: DoubleVector,
    first: int,
    last: int,
    left_out: int,
    rows: NDArray[np.int32],
    weights: DoubleVector,
    targets: DoubleVector,
    Y: FloatMatrix,
) -> int:
    """Put pairs that have a weight into ``rows``, ``weights`` and ``targets``; returns their number.

    Their vectors go into ``Y``, as many as it has room for, and zeros behind them.
    """
    factors, indices = coming.factors, coming.indices
    k = factors.shape[1]
    coming.span[0] = max(coming.span[0], first)
    n = 0
    for i in range(first, last):
        if coming.span[0] < min(i + AHEAD, last):
            prefetch_coming(coming)
        if w[i] > 0.0:
            if n < len(Y) - ROWS:
                row = indices[i]
                for j in range(k):
                    Y[n, j] = factors[row, j]
                if left_out >= 0:
                    Y[n, left_out] = 0.0
            rows[n] = indices[i]
            weights[n] = w[i]
            targets[n] = t[i]
            n += 1
    for i in range(n, n + ROWS):
        weights[i] = targets[i] = 0.0
        if i < len(Y):
            for j in range(k):
                Y[i, j] = np.float32(0.0)
    return n


@lean_part
def read_history(
    coming: Coming,
    w: DoubleVector,
    t: DoubleVector,
    first: int,
    last: int,
    left_out: int,
    rows: NDArray[np.int32],
    weights: DoubleVector,
    targets: DoubleVector,
    b: DoubleVector,
    Y: FloatMatrix,
) -> int:
    """Put ``Σ t_i y_i`` into b, and pairs that have a weight into ``rows`` and ``weights``; returns their number.

    Their vectors go into ``Y``, as many as it has room for.
    """
    factors, indices = coming.factors, coming.indices
    k = factors.shape[1]
    for j in range(len(b)):
        b[j] = 0.0
    count = gather(coming, w, t, first, last, left_out, rows, weights, targets, Y)
    inside = min(count, len(Y) - ROWS)
    for i in range(0, inside, ROWS):
        add_rows(Y, i, (targets[i], targets[i + 1], targets[i + 2], targets[i + 3]), b)
    n = 0
    for i in range(first, last):
        if w[i] > 0.0:
            n += 1
        if t[i] != 0.0 and (not w[i] > 0.0 or n > inside):
            for j in range(k):
                b[j] += t[i] * factors[indices[i], j]
    if left_out >= 0:
        b[left_out] = 0.0
    return count


class Room(NamedTuple):
    """What `solve_rows` works in; `room` makes it."""

    rows: NDArray[np.int32]
    weights: DoubleVector
    targets: DoubleVector
    rough_w: FloatVector
    Y: FloatMatrix
    scratch: DoubleMatrix
    rough: Rough
    A: DoubleMatrix
    b: DoubleVector
    span: IntVector


def room(longest: int, features: int) -> Room:
    """Return room for rows of at most so many pairs."""
    width, pairs = -(-features // LANES) * LANES, longest + ROWS
    Y, rough = aligned(min(longest, GATHERED // width) + ROWS, width), aligned(7, width)
    Y[:], rough[:] = 0.0, 0.0
    return Room(
        np.empty(pairs, np.int32),
        np.empty(pairs),
        np.empty(pairs),
        np.empty(pairs, np.float32),
        Y,
        np.zeros((7, width)),
        Rough(*rough),
        np.empty((features, features)),
        np.zeros(width),
        np.zeros(2, np.int64),
    )


@lean
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
    room: Room,
    X: FloatMatrix,
    how: NDArray[np.int8],
) -> None:
    """Solve m systems into ``X`` float32[m, k]; says in ``how`` int8[m] what each was solved by.

    ``indptr`` int64[m + 1] begins at 0; ``w`` and ``t`` float64 by pair; ``ridges`` float64[m]; ``turn`` bool[m] says
    which rows take the basis ``turned``; a pivot of less than ``singular`` times its entry stands for 0. The column
    ``left_out`` of the factors counts as 0, and so is X's; -1 for none. Rows then take the basis ``plain``, since
    another mixes the columns.
    """
    m, k = X.shape
    rows, weights, targets, Y = room.rows, room.weights, room.targets, room.Y
    b = room.b[:k]
    coming = Coming(factors, indices, room.span)
    coming.span[0] = 0
    for row in range(m):
        coming.span[1] = indptr[row + 1]
        n = read_history(
            coming, w, t, indptr[row], indptr[row + 1], left_out, rows, weights, targets, room.b, Y
        )  # fmt: skip
        if row + 1 < m:  # whose history comes while this one is gone through
            coming.span[1] = indptr[row + 2]
        basis = turned if turn[row] else plain
        ridge = ridges[row]
        if not largest(b) > 0.0:
            how[row] = NOTHING
        elif by_conjugate_gradients(weights, n, basis, g, ridge, b, Y, room.rough_w, room.scratch, room.rough, coming):
            how[row] = DESCENT
        elif by_cholesky(factors, rows, weights, n, gram, g, ridge, b, left_out, room.A, singular, room.scratch):
            how[row] = FACTORS
        else:
            how[row] = SINGULARLY
        for j in range(k):
            X[row, j] = b[j]
