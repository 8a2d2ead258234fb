"""What a user's solution is expected to cost by each way, in µs of CPU; measured by ``tests.bench.solvers``.

The constants are rounded between what that benchmark says and the histories of the large world of
``tests.bench.speed``, on a machine that others used too: only their ratios matter.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["building_us", "change_us", "comparison_us", "descent_us", "renewal_us"]


def descent_us(pairs: NDArray[np.int64], features: int) -> NDArray[np.float64]:
    """Return float64[m]: conjugate gradients over histories of so many pairs."""
    return 8.0 + (0.05 + 0.0022 * features) * pairs.astype(np.float64)


def comparison_us(pairs: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return float64[m]: a history set against the one that a kept system stands for."""
    return 12.0 + 0.05 * pairs.astype(np.float64)


def change_us(features: int) -> float:
    """One pair changed in a system that is kept."""
    return 0.0026 * features**2


def renewal_us(pairs: NDArray[np.int64], features: int) -> NDArray[np.float64]:
    """Return float64[m]: a system that is kept solved again after one pair has changed."""
    return comparison_us(pairs) + change_us(features)


def building_us(pairs: NDArray[np.int64], features: int) -> NDArray[np.float64]:
    """Return float64[m]: a system built from its history."""
    inverted = 60.0 + (0.018 + 0.0001 * features) * features**2
    return inverted + (0.85 + 0.000065 * features**2) * pairs.astype(np.float64)
