"""Rows by the length of their vectors: an inner product with a unit query is at most that, so most need no look."""

from typing import Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from serving_layer.index.scoring import Handles

__all__ = ["NormOrder"]

_WORTH: Final = 0.75
"""Share of the longest percent's length that a quarter of all reach, from which on the order would rule out little."""


class NormOrder(NamedTuple):
    """The rows, longest first.

    ``rows`` int64[n], by place; ``places`` int64[n], by row; ``norms`` float64[n], by place.
    """

    rows: Handles
    places: Handles
    norms: NDArray[np.float64]

    @classmethod
    def of(cls, norms: NDArray[np.float64]) -> Self | None:
        """Order float64[n], by row; None where the lengths vary too little to make up for going out of order."""
        rows = np.argsort(-norms, kind="stable")
        ordered = norms[rows]
        if not len(rows) or ordered[len(rows) // 4] > _WORTH * ordered[len(rows) // 100]:
            return None
        places = np.empty_like(rows)
        places[rows] = np.arange(len(rows))
        return cls(rows, places, ordered)
