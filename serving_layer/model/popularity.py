"""The most popular items and the most active users, ranked anew only when something has changed."""

from collections.abc import Callable
from concurrent.futures import Executor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from oryx_py.model.ids.id_space import IdSpace
from oryx_py.model.state.histories import Histories
from serving_layer.event_loop.offload import offload
from serving_layer.index.ranking import largest_counts
from serving_layer.index.scoring import Handles

__all__ = ["Counted", "LargestCounts"]

_KEPT = 1000
"""Ranked at least, so that the next pages cost nothing."""
_COST_EACH = 10
"""Of ranking one of them, in multiplications."""


class Counted(NamedTuple):
    """Handles, int64[n], and their counts, int64[n], largest first."""

    handles: Handles
    counts: NDArray[np.int64]


class LargestCounts:
    """Ranks items by how many users know them, or users by how many items they know; for the state's loop.

    Args:
        histories: whose version tells whether something has changed.
        space: the IDs of what is ranked.
        counts: int64[n], by handle; given how many there are.
    """

    def __init__(self, histories: Histories, space: IdSpace, counts: Callable[[int], NDArray[np.int64]]) -> None:
        self._histories = histories
        self._space = space
        self._counts = counts
        self._ranked = Counted(np.empty(0, np.int64), np.empty(0, np.int64))
        self._depth = 0
        self._version = -1

    async def best(self, want: int, pool: Executor) -> Counted:
        """Return the ``want`` largest counts above 0, ties by ID."""
        version, ranked = self._histories.version, self._ranked
        if version != self._version or want > self._depth:
            depth = max(want, _KEPT)
            # A copy, since the loop goes on counting.
            space = self._space
            counts = self._counts(len(space)).copy()
            handles = await offload(pool, _COST_EACH * len(counts), largest_counts, counts, depth, space.base, space.id)
            ranked = Counted(handles, counts[handles])
            if version >= self._version:  # else another request has ranked something newer meanwhile
                self._ranked, self._depth, self._version = ranked, depth, version
        return Counted(ranked.handles[:want], ranked.counts[:want])
