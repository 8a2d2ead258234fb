"""From many histories to the systems ``A x = b`` that they stand for, before anything is solved."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from oryx_py.numerics.arrays import BoolVector, DoubleVector, FloatMatrix, IntVector
from oryx_py.numerics.basis import Basis
from oryx_py.numerics.fold_in.dense import Prior, side_of
from oryx_py.numerics.fold_in.weighing import weigh_rows
from oryx_py.numerics.objective import STRENGTH_LIMIT, Objective

__all__ = ["Systems", "frozen", "some_rows", "systems_of", "weighed"]

_SPILL = 1e-2
"""Off-diagonal part of ``g YᵀY``, relative to the prior's least entry, up to which the factors' own basis serves."""


class Systems(NamedTuple):
    """The systems of m rows against ``factors`` float32[r, k].

    ``indptr`` int64[m + 1] begins at 0; ``rows`` int32[n] of the factors, ``w`` and ``t`` float64[n] by pair; λ_u is
    ``ridges`` float64[m]; ``turn`` bool[m] says which take the basis ``turned`` instead of ``plain``. ``column`` of the
    factors counts as 0, -1 for none.
    """

    indptr: IntVector
    rows: NDArray[np.int32]
    w: DoubleVector
    t: DoubleVector
    ridges: DoubleVector
    plain: Basis
    turned: Basis
    turn: BoolVector
    column: int


def systems_of(
    indptr: IntVector,
    indices: NDArray[np.integer],
    strengths: DoubleVector,
    factors: FloatMatrix,
    prior: Prior,
    objective: Objective,
) -> Systems:
    """Return the systems of histories, as `oryx_py.numerics.fold_in.batched.fold_in_many` takes them."""
    pairs = slice(int(indptr[0]), int(indptr[-1]))
    indptr = indptr - pairs.start
    rows: NDArray[np.int32] = frozen(indices[pairs], np.int32)
    w, t, counted = weighed(indptr, strengths[pairs], objective)
    ridges = objective.ridges(counted, prior.rows)
    g, plain = objective.g, prior.plain
    turn = g * plain.spilled > _SPILL * (g * plain.values.min() + ridges)
    turned = prior.turned if turn.any() else plain
    column = -1
    if objective.biases is not None:
        fixed = side_of(prior)
        column = objective.biases.column(fixed)
        t = np.where(w > 0, t - objective.biases.offsets(factors[rows, column], fixed), 0.0)
    return Systems(indptr, rows, w, t, ridges, plain, turned, turn, column)


def weighed(
    indptr: IntVector, strengths: DoubleVector, objective: Objective
) -> tuple[DoubleVector, DoubleVector, IntVector]:
    """Return what `Objective.weights` does, in one pass: weights and targets by pair, and int64[m], each row's n."""
    w, t = np.empty(len(strengths)), np.empty(len(strengths))
    explicit, positive = objective.feedback == "explicit", objective.counts == "positive"
    epsilon = objective.epsilon if objective.log_strength else 0.0
    constants = objective.alpha, objective.kappa, epsilon, positive, STRENGTH_LIMIT
    return w, t, weigh_rows(indptr, frozen(strengths, np.float64), explicit, *constants, w, t)


def frozen(array: NDArray[Any], dtype: type[np.generic]) -> NDArray[Any]:
    """The same values, contiguous and not writeable, so that kernels are compiled for one kind of array alone."""
    view = np.ascontiguousarray(array, dtype=dtype).view(np.ndarray)
    view.flags.writeable = False
    return view


def some_rows(indptr: IntVector, rows: IntVector) -> tuple[IntVector, IntVector]:
    """Return the starts of some rows of a CSR matrix laid one after the other, and the places of their pairs."""
    counts = np.diff(indptr)[rows]
    starts = np.zeros(len(rows) + 1, np.int64)
    np.cumsum(counts, out=starts[1:])
    return starts, np.arange(starts[-1]) + np.repeat(indptr[rows] - starts[:-1], counts)
