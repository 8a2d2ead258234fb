"""The most popular items, ranked anew only when something has changed."""

from concurrent.futures import Executor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from oryx_py.model.state import ModelState
from serving_layer.offload import offload
from serving_layer.ranking import Handles, largest_counts

__all__ = ["Counted", "PopularItems"]

_KEPT = 1000
"""Ranked at least, so that the next pages cost nothing."""
_COST_EACH = 10
"""Of ranking an item, in multiplications."""


class Counted(NamedTuple):
    """Handles, int64[n], and their counts, int64[n], largest first."""

    handles: Handles
    counts: NDArray[np.int64]


class PopularItems:
    """Ranks the items of a state by how many users know them; for the loop that owns the state."""

    def __init__(self, state: ModelState) -> None:
        self._state = state
        self._ranked = Counted(np.empty(0, np.int64), np.empty(0, np.int64))
        self._depth = 0
        self._version = -1

    async def best(self, want: int, pool: Executor) -> Counted:
        """Return the ``want`` most popular items, ties by ID; none that nobody knows."""
        version, ranked = self._state.histories.version, self._ranked
        if version != self._version or want > self._depth:
            depth = max(want, _KEPT)
            # A copy, since the loop goes on counting.
            counts, items = self._state.popularity().copy(), self._state.items
            handles = await offload(pool, _COST_EACH * len(counts), largest_counts, counts, depth, items.base, items.id)
            ranked = Counted(handles, counts[handles])
            if version >= self._version:  # else another request has ranked something newer meanwhile
                self._ranked, self._depth, self._version = ranked, depth, version
        return Counted(ranked.handles[:want], ranked.counts[:want])
