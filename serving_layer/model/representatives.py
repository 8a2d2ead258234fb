"""For each feature the item with the largest component."""

from concurrent.futures import Executor

import numpy as np

from oryx_py.model.ids.id_space import IdSpace
from oryx_py.model.state.vectors import VectorTable
from serving_layer.event_loop.offload import COST_OF_NAMING, offload
from serving_layer.index import Delta
from serving_layer.index.ranking import in_order, outside
from serving_layer.index.scoring import Factors, Handles

__all__ = ["Representatives"]

_BLOCK_ROWS = 65_536
_NONE = -1
_ATTEMPTS = 2
"""At a delta in another thread, before the loop is held up: what was found may move meanwhile."""
_COST_OF_LOOKING = 5
"""At each number of the delta, in multiplications."""


class Representatives:
    """Finds the representatives in a table of item vectors; for the loop that owns the table.

    The largest rows of the generation are kept, and looked for again only where the delta has come to replace one.

    Args:
        table: the vectors.
        items: their IDs.
        features: the first so many columns; what follows is no feature but a bias.
    """

    def __init__(self, table: VectorTable, items: IdSpace, features: int) -> None:
        self._table = table
        self._features = features
        self._items = items
        self._rows: Handles | None = None

    async def now(self, pool: Executor) -> list[int]:
        """Return for each feature a handle, ties by ID; nothing where there is no item at all."""
        table = self._table
        for _ in range(_ATTEMPTS):
            rows = await self._largest_rows(pool)
            delta, version = Delta.of(table), table.version
            cost = _COST_OF_LOOKING * delta.cost + COST_OF_NAMING * len(delta.handles)
            found = await offload(pool, cost, self._largest_of, delta)
            changed = np.sort(table.changed_since(version))
            if outside(np.concatenate([rows, found]), changed).all():
                since = Delta(changed, table.gather(changed), table.has(changed))
                return self._chosen(rows, found, self._largest_of(since))
        rows = await self._largest_rows(pool)
        return self._chosen(rows, self._largest_of(Delta.of(table)))

    def _largest_of(self, delta: Delta) -> Handles:
        """Return int64[features]: of each the handle in a delta, ties by ID, -1 where nothing is; for any thread.

        A vector that changes meanwhile may have been seen before, after, or halfway.
        """
        there = np.flatnonzero(delta.present)
        if not len(there):
            return np.full(self._features, _NONE)
        handles, vectors = delta.handles[there], delta.vectors[there, : self._features]
        is_largest = vectors == vectors.max(axis=0)
        tied = np.flatnonzero(is_largest.any(axis=1))
        if len(tied) > 1:
            tied = tied[in_order(handles[tied], np.zeros(len(tied)), self._items.base, self._items.id)]
        found: Handles = handles[tied[is_largest[tied].argmax(axis=0)]]
        return found

    def _chosen(self, *found: Handles) -> list[int]:
        """Return the best of what was found of each feature here and there."""
        candidates = [[handle for handle in handles if handle >= 0] for handles in np.array(found).T.tolist()]
        return [
            min(handles, key=lambda handle, feature=feature: self._rank(handle, feature))  # type: ignore[misc]
            for feature, handles in enumerate(candidates)
            if handles
        ]

    def _rank(self, handle: int, feature: int) -> tuple[float, str]:
        vector = self._table.get(handle)
        return (np.inf if vector is None else -float(vector[feature]), self._items.id(handle))

    async def _largest_rows(self, pool: Executor) -> Handles:
        table = self._table
        if self._rows is None:
            nothing = np.empty(0, np.int64)
            rows = await offload(pool, table.base.size, _largest, table.base, range(self._features), nothing)
            self._rows = np.array(rows, np.int64)
        while gone := [at for at, row in enumerate(self._rows.tolist()) if row >= 0 and table.masked(row)]:
            masked = Delta.of(table).masked(len(table.base)).copy()
            cost = len(gone) * len(table.base)
            self._rows[gone] = await offload(pool, cost, _largest, table.base, gone, masked)
        return self._rows


def _largest(factors: Factors, features: range | list[int], left_out: Handles) -> list[int]:
    """Return by feature the row with the largest component, the first of equal ones, -1 where there is none."""
    best = [(-np.inf, _NONE)] * len(features)
    for start in range(0, len(factors), _BLOCK_ROWS):
        block = factors[start : start + _BLOCK_ROWS, list(features)]
        block[left_out[(left_out >= start) & (left_out < start + len(block))] - start] = -np.inf
        rows = np.argmax(block, axis=0)
        for at, row in enumerate(rows.tolist()):
            value = float(block[row, at])
            if value > best[at][0]:
                best[at] = (value, start + row)
    return [row for _, row in best]
