"""How far means may be from what they estimate: the bootstrap by clusters.

Interactions of one user are alike, so that resampling them one by one would promise too narrow an interval. What is
drawn with replacement are whole users (Field & Welsh 2007, "Bootstrapping clustered data", the cluster bootstrap), and
a mean over interactions is the ratio of two sums over the users drawn. Everything that is computed from the same
draws, such as the difference of two rankers, is paired.
"""

from typing import NamedTuple

import numpy as np

from oryx_py.numerics.arrays import DoubleMatrix, DoubleVector, IntVector

__all__ = ["LEVEL", "Interval", "cluster_sums", "interval"]

LEVEL = 0.95

_BLOCK_DRAWS = 4_000_000


class Interval(NamedTuple):
    """Where a figure lies with a probability of `LEVEL`: from the one to the other; NaN where nothing can be said."""

    low: float
    high: float

    @property
    def is_above_0(self) -> bool:
        """Whether all of it is."""
        return self.low > 0


def cluster_sums(clusters: IntVector, values: DoubleMatrix, draws: int, rng: np.random.Generator) -> DoubleMatrix:
    """Return the columns' sums over resampled clusters, float64[draws, c].

    Args:
        clusters: int[n], which cluster each row belongs to.
        values: float64[n, c], finite.
        draws: how often as many clusters as there are are drawn.
        rng: who draws.
    """
    _, of_row = np.unique(clusters, return_inverse=True)
    count = int(of_row.max(initial=-1)) + 1
    sums = np.stack([np.bincount(of_row, weights=column, minlength=count) for column in values.T], axis=1)
    found = np.zeros((draws, values.shape[1]))
    if not count:
        return found
    block = max(1, _BLOCK_DRAWS // count)
    for first in range(0, draws, block):
        size = min(block, draws - first)
        drawn = rng.integers(count, size=(size, count)) + count * np.arange(size)[:, None]
        times = np.bincount(drawn.ravel(), minlength=size * count).reshape(size, count)
        found[first : first + size] = times @ sums
    return found


def interval(replicates: DoubleVector) -> Interval:
    """Return the percentiles of a figure's replicates, float64[draws]; those that are NaN do not count."""
    usable = replicates[~np.isnan(replicates)]
    if not len(usable):
        return Interval(float("nan"), float("nan"))
    low, high = np.quantile(usable, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high))
