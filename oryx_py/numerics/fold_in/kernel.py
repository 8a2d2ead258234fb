"""The compiled kernel behind ``fold_in_many``: conjugate gradients, and Cholesky where they do not pay.

Everything is float64 except the vectors, which are read as they are, and the descent between two residuals. Each row is
computed from its own pairs alone.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from oryx_py.numerics.arrays import BoolVector, DoubleMatrix, DoubleVector, FloatMatrix, IntVector
from oryx_py.numerics.basis import Basis
from oryx_py.numerics.compiled.aligned import aligned
from oryx_py.numerics.compiled.compiling import lean, lean_part
from oryx_py.numerics.compiled.lanes import LANES
from oryx_py.numerics.compiled.loops import largest
from oryx_py.numerics.fold_in.cholesky import by_cholesky
from oryx_py.numerics.fold_in.conjugate_gradients import by_conjugate_gradients
from oryx_py.numerics.fold_in.gathered import Coming, Gathered, gather, room_for
from oryx_py.numerics.fold_in.rough_conjugate_gradients import Rough

NOTHING, DESCENT, FACTORS, SINGULARLY = 0, 1, 2, 3
"""What solved a row: b = 0 needs nothing; conjugate gradients; Cholesky; neither, since it is singular in float64."""


class Room(NamedTuple):
    """What `solve_rows` works in; `room` makes it."""

    history: Gathered
    scratch: DoubleMatrix
    rough: Rough
    A: DoubleMatrix
    b: DoubleVector
    span: IntVector


def room(longest: int, features: int) -> Room:
    """Return room for rows of at most so many pairs."""
    width = -(-features // LANES) * LANES
    rough = aligned(len(Rough._fields), width)
    rough[:] = 0.0
    return Room(
        room_for(longest, width),
        np.zeros((7, width)),
        Rough(*rough),
        np.empty((features, features)),
        np.zeros(width),
        np.zeros(2, np.int64),
    )


@lean_part
def exact_targets(factors: FloatMatrix, history: Gathered, n: int, left_out: int, b: DoubleVector) -> None:
    """``b = Σ t_i y_i`` over n pairs, wherever their vectors are."""
    for j in range(len(b)):
        b[j] = 0.0
    for i in range(n):
        for j in range(factors.shape[1]):
            b[j] += history.t[i] * factors[history.rows[i], j]
    if left_out >= 0:
        b[left_out] = 0.0


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
    history, scratch, b = room.history, room.scratch, room.b[:k]
    coming = Coming(factors, indices, room.span)
    coming.span[0] = 0
    for row in range(m):
        coming.span[1] = indptr[row + 1]
        n = gather(coming, w, t, indptr[row], indptr[row + 1], left_out, history)
        if row + 1 < m:  # whose history comes while this one is gone through
            coming.span[1] = indptr[row + 2]
        basis = turned if turn[row] else plain
        ridge = ridges[row]
        if by_conjugate_gradients(history, n, basis, g, ridge, room.b, scratch, room.rough, coming):
            how[row] = DESCENT
        else:
            exact_targets(factors, history, n, left_out, b)
            if not largest(b) > 0.0:
                how[row] = NOTHING
            elif by_cholesky(
                factors, history.rows, history.w, n, gram, g, ridge, b, left_out, room.A, singular, scratch
            ):
                how[row] = FACTORS
            else:
                how[row] = SINGULARLY
        for j in range(k):
            X[row, j] = b[j]
