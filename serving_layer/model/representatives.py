"""For each feature the item with the largest component."""

from concurrent.futures import Executor

import numpy as np

from oryx_py.model.ids.id_space import IdSpace
from oryx_py.model.state.vectors import VectorTable
from serving_layer.event_loop.offload import offload
from serving_layer.index import Delta
from serving_layer.index.scoring import Factors, Handles

__all__ = ["Representatives"]

_BLOCK_ROWS = 65_536
_NONE = -1


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
        rows = await self._largest_rows(pool)
        delta = Delta.of(table)
        chosen: list[int] = []
        for feature, row in enumerate(rows.tolist()):
            candidates = [row] if row >= 0 else []
            if delta.present.any():
                values = np.where(delta.present, delta.vectors[:, feature], -np.inf)
                candidates += delta.handles[values == values.max()].tolist()
            if candidates:
                chosen.append(min(candidates, key=lambda handle: self._rank(handle, feature)))
        return chosen

    def _rank(self, handle: int, feature: int) -> tuple[float, bytes]:
        vector = self._table.get(handle)
        return (np.inf if vector is None else -float(vector[feature]), self._items.id(handle).encode())

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
