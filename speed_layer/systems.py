"""Sparse rows for the fold-in kernel, from histories that are Python values."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from oryx_py.numerics.cg import fold_in_many
from oryx_py.numerics.fold_in import Prior
from oryx_py.numerics.objective import Objective

__all__ = ["History", "solve"]

History = tuple[NDArray[np.int64], NDArray[np.float64]]
"""int64[n] rows of the fixed side's factors and float64[n] folded strengths."""


def solve(
    histories: Sequence[History], factors: NDArray[np.float32], prior: Prior, objective: Objective
) -> NDArray[np.float32]:
    """Return float32[len(histories), k]: each history's exact vector, the factors being fixed.

    Args:
        histories: one a row; an empty one gives zeros.
        factors: float32[m, k], the fixed side.
        prior: the fixed side's Gram matrix and count, as of the generation.
        objective: the generation's.
    """
    lengths = [len(rows) for rows, _ in histories]
    indptr = np.zeros(len(histories) + 1, np.int64)
    np.cumsum(lengths, out=indptr[1:])
    rows = np.concatenate([rows for rows, _ in histories]) if histories else np.empty(0, np.int64)
    strengths = np.concatenate([values for _, values in histories]) if histories else np.empty(0, np.float64)
    return fold_in_many(indptr, rows, strengths, factors, prior, objective)
