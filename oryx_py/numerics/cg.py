"""Fold-in of many rows at once."""

import numpy as np

from oryx_py.numerics.arrays import DoubleVector, FloatMatrix, IntVector
from oryx_py.numerics.fold_in import Prior, fold_in
from oryx_py.numerics.objective import Objective


def fold_in_many(
    indptr: IntVector,
    indices: IntVector,
    strengths: DoubleVector,
    factors: FloatMatrix,
    prior: Prior,
    objective: Objective,
    *,
    threads: int = 1,
) -> FloatMatrix:
    """Solve the systems of m rows; float32[m, k].

    Row j's history is ``indices[indptr[j]:indptr[j + 1]]``, rows of ``factors`` float32[r, k], with ``strengths``.
    """
    m = len(indptr) - 1
    X = np.zeros((m, factors.shape[1]), dtype=np.float32)
    for row in range(m):
        pairs = slice(indptr[row], indptr[row + 1])
        X[row] = fold_in(strengths[pairs], factors[indices[pairs]], prior, objective)
    return X
