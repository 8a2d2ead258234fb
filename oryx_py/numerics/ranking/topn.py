"""Selection of the best scores."""

import numpy as np

from oryx_py.numerics.arrays import FloatVector, IntVector


def top_n(scores: FloatVector, n: int, ids_rank: IntVector | None = None) -> IntVector:
    """Indices of the ``n`` highest scores, best first; int64[min(n, len(scores))].

    ``scores`` float32[m]. Equal scores come in ascending ``ids_rank`` int64[m] (without it: ascending index), also
    where a tie is cut off. NaN, no score at all, counts as -inf.
    """
    m = len(scores)
    n = min(max(n, 0), m)
    if n == 0:
        return np.empty(0, dtype=np.int64)
    keys = np.where(np.isnan(scores), np.inf, -scores)
    if n < m:
        boundary = np.partition(keys, n - 1)[n - 1]
        candidates = np.flatnonzero(keys <= boundary)
    else:
        candidates = np.arange(m, dtype=np.int64)
    rank = candidates if ids_rank is None else ids_rank[candidates]
    order = np.lexsort((rank, keys[candidates]))
    return candidates[order[:n]].astype(np.int64, copy=False)
