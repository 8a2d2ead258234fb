"""What a user's solution is expected to cost by each way, in µs of CPU; measured by ``tests.bench.solvers``."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["building_us", "descent_us", "renewal_us"]


def descent_us(pairs: NDArray[np.int64], features: int) -> NDArray[np.float64]:
    """Return float64[m]: conjugate gradients over histories of so many pairs."""
    return 8.0 + (0.05 + 0.0027 * features) * pairs.astype(np.float64)


def renewal_us(pairs: NDArray[np.int64], features: int) -> NDArray[np.float64]:
    """Return float64[m]: one pair changed in a system that is kept, and the histories' comparison before it."""
    return 10.0 + 0.0026 * features**2 + 0.04 * pairs.astype(np.float64)


def building_us(pairs: NDArray[np.int64], features: int) -> NDArray[np.float64]:
    """Return float64[m]: a system built from its history."""
    inverted = 60.0 + (0.003 + 0.0001 * features) * features**2
    return inverted + (0.25 + 0.0001 * features**2) * pairs.astype(np.float64)
