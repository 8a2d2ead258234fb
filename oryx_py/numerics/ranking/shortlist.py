"""What may be among the best by scores that are only approximate."""

import numpy as np

from oryx_py.numerics.arrays import DoubleVector, FloatVector, IntVector
from oryx_py.numerics.compiled.compiling import compiled

__all__ = ["compile_shortlists", "shortlist"]

_HEAP = 256
"""Up to here a heap takes one quick look at each score; beyond, NumPy's selection is sooner done."""


def shortlist(approximate: FloatVector | DoubleVector, want: int, slack: float) -> IntVector:
    """Return, ascending, the positions among which the ``want`` best by exact score surely are; int64[≥ want].

    Args:
        approximate: float32[n] or float64[n]; -inf stands for what is left out.
        want: how many.
        slack: by how much a score must be below another for its exact one to be lower for certain.
    """
    if want <= 0:
        return np.empty(0, np.int64)
    if want >= len(approximate):
        return np.flatnonzero(approximate > -np.inf)
    if want <= _HEAP:
        return few_of(approximate, want, slack)
    boundary = np.partition(approximate, len(approximate) - want)[len(approximate) - want]
    return np.flatnonzero((approximate >= np.float64(boundary) - slack) & (approximate > -np.inf))


def compile_shortlists() -> None:
    """Compile, or load, what `shortlist` needs, so that nobody waits for it later."""
    few_of(np.zeros(2, np.float32), 1, 0.0)
    few_of(np.zeros(2, np.float64), 1, 0.0)


@compiled
def few_of(approximate: FloatVector | DoubleVector, want: int, slack: float) -> IntVector:
    """Do the same where ``want`` is positive and small: a heap has the best so far, the lowest of them first."""
    best = np.full(want, -np.inf)
    for at in range(len(approximate)):
        score = np.float64(approximate[at])
        if score > best[0]:
            hole = 0
            while 2 * hole + 1 < want:
                child = 2 * hole + 1
                if child + 1 < want and best[child + 1] < best[child]:
                    child += 1
                if best[child] >= score:
                    break
                best[hole] = best[child]
                hole = child
            best[hole] = score
    cut = best[0] - slack
    count = 0
    for at in range(len(approximate)):
        count += approximate[at] >= cut and approximate[at] > -np.inf
    found = np.empty(count, np.int64)
    count = 0
    for at in range(len(approximate)):
        if approximate[at] >= cut and approximate[at] > -np.inf:
            found[count] = at
            count += 1
    return found
