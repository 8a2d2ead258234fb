"""Each pair's weight and target, compiled."""

import numpy as np

from oryx_py.numerics.arrays import DoubleVector, IntVector
from oryx_py.numerics.compiled.compiling import compiled


@compiled
def weigh_rows(
    indptr: IntVector,
    strengths: DoubleVector,
    explicit: bool,
    alpha: float,
    kappa: float,
    epsilon: float,
    positive: bool,
    limit: float,
    w: DoubleVector,
    t: DoubleVector,
) -> IntVector:
    """Each pair's weight and target, as ``Objective.weights`` has them, in one pass; returns int64[m], each row's n.

    ``epsilon`` is 0 where weights grow with the strength itself; ``positive`` says which pairs are counted.
    """
    m = len(indptr) - 1
    counted = np.zeros(m, dtype=np.int64)
    for row in range(m):
        n = 0
        for i in range(indptr[row], indptr[row + 1]):
            s = strengths[i]
            if np.isnan(s):
                w[i] = t[i] = 0.0
                continue
            s = min(max(s, -limit), limit)
            if explicit:
                w[i], t[i] = 1.0, s
                n += 1
                continue
            size = abs(s)
            weight = alpha * (np.log1p(size / epsilon) if epsilon > 0.0 else size)
            w[i] = weight
            t[i] = kappa + weight if s > 0.0 else 0.0
            if s > 0.0 or (s != 0.0 and not positive):
                n += 1
        counted[row] = n
    return counted
