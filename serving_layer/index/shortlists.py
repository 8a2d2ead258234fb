"""Candidates of many queries at once: one matrix product for a tile of items, of which few pairs are kept."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from serving_layer.index.scoring import Factors, Handles

__all__ = ["TILE_ROWS", "Pairs", "Shortlists"]

TILE_ROWS: Final = 8192
"""Of 128 queries, a tile's scores take 4 MB, and stay in the cache between the product and the selection."""
_GROUPS: Final = 16
"""Rows of which the largest score stands for all, in the first look at a tile."""
_ALLOWANCE: Final = 1.00001
_LOWEST: Final = np.finfo(np.float32).min


class Pairs(NamedTuple):
    """Queries' numbers and rows of a matrix, int64[p] each."""

    queries: Handles
    rows: Handles

    @classmethod
    def none(cls) -> "Pairs":
        """No pairs."""
        return cls(np.empty(0, np.int64), np.empty(0, np.int64))

    def by_row(self) -> "Pairs":
        """Return the same pairs, rows ascending."""
        order = np.argsort(self.rows, kind="stable")
        return Pairs(self.queries[order], self.rows[order])


class Shortlists:
    """The rows of a matrix among which the ``want`` best of each query surely are; its memory is that of a tile.

    A query's *floor* is a score that ``want`` rows are known to reach: what is lower than it by more than the
    `margin` of approximate scores is none of the best. It rises from tile to tile; what was kept before is looked
    through again after 1 tile, 4, 16, …, so that of n tiles not n, but about 3 log₄ n times ``want`` rows are kept.

    Args:
        units: float32[q, k], queries of length 1.
        want: how many of each, above 0.
        slack: float64[q], the `margin` of each query's scores; finite.
        left_out: rows that are none for one query, ascending by row, none twice.
    """

    def __init__(self, units: Factors, want: int, slack: NDArray[np.float64], left_out: Pairs) -> None:
        self._units = units
        self._want = want
        self._slack = slack
        self._left_out = left_out
        self._floor = np.full(len(units), -np.inf, np.float32)
        self._cut = np.full(len(units), _LOWEST, np.float32)
        self._kept: list[tuple[Handles, Handles, Factors]] = []
        self._tiles = 0
        self._next_look = 1
        self._scores = np.empty(0, np.float32)
        self._high = np.empty(0, np.bool_)

    def open_to(self, longest: float) -> Handles:
        """Return, ascending, the queries of whose best a row no longer than ``longest`` may be."""
        # A unit query's product is at most that length; its own rounding is far below the allowance.
        return np.flatnonzero(self._cut <= longest * _ALLOWANCE)

    def scan(self, tile: Factors, start: int, hidden: Handles, active: Handles) -> None:
        """Look at some rows.

        Args:
            tile: float32[t, k], the rows from ``start`` on.
            start: the first one.
            hidden: those of them, as rows, that are none.
            active: int64[a], ascending: the queries that look at them.
        """
        size = len(active) * len(tile)
        if len(self._scores) < size:
            self._scores, self._high = np.empty(size, np.float32), np.empty(size, np.bool_)
        flat, high = self._scores[:size], self._high[:size]
        scores = flat.reshape(-1, len(tile))
        all_active = len(active) == len(self._units)
        np.matmul(self._units if all_active else self._units[active], tile.T, out=scores)
        scores[:, hidden - start] = -np.inf
        first, last = self._left_out.rows.searchsorted([start, start + len(tile)])
        queries, rows = self._left_out.queries[first:last], self._left_out.rows[first:last] - start
        if not all_active:
            looks = np.isin(queries, active)
            queries, rows = active.searchsorted(queries[looks]), rows[looks]
        scores[queries, rows] = -np.inf
        if not self._tiles:
            self._begin(scores)
        np.greater_equal(scores, self._cut[active, None], out=high.reshape(scores.shape))
        at = np.flatnonzero(high)
        query, row = np.divmod(at, len(tile))
        self._kept.append((active[query], row + start, flat[at]))
        self._tiles += 1
        if self._tiles == self._next_look:
            self._look_through()
            self._next_look *= 4

    def pairs(self) -> Pairs:
        """Return what was found: ascending by query."""
        if not self._kept:
            return Pairs.none()
        self._look_through()
        queries, rows, _ = self._kept[0]
        return Pairs(queries, rows)

    def _begin(self, scores: Factors) -> None:
        """Raise the floors by a first guess: ``want`` groups of rows have a row that reaches it."""
        width = scores.shape[1] // _GROUPS
        if width >= self._want:
            largest = scores[:, : width * _GROUPS].reshape(len(scores), _GROUPS, width).max(axis=1)
            at = width - self._want
            self._raise(np.partition(largest, at, axis=1)[:, at])

    def _look_through(self) -> None:
        """Raise the floors to the ``want`` best scores so far, and drop what they rule out."""
        queries, rows, scores = (np.concatenate(parts) for parts in zip(*self._kept, strict=True))
        order = np.argsort(_key(queries, scores))
        queries, rows, scores = queries[order], rows[order], scores[order]
        ends = queries.searchsorted(np.arange(len(self._units)), side="right")
        starts = np.concatenate([[0], ends[:-1]])
        full = ends - starts >= self._want
        reached = self._floor.copy()
        reached[full] = scores[starts[full] + self._want - 1]
        self._raise(reached)
        kept = scores >= self._cut[queries]
        self._kept = [(queries[kept], rows[kept], scores[kept])]

    def _raise(self, floor: Factors) -> None:
        self._floor = np.maximum(self._floor, floor)
        lowest = np.maximum(self._floor - self._slack, _LOWEST).astype(np.float32)
        with np.errstate(over="ignore"):
            below = np.nextafter(lowest, np.float32(-np.inf))  # since the cast may have rounded up
        self._cut = np.maximum(below, _LOWEST)


def _key(queries: Handles, scores: Factors) -> Handles:
    """Return int64[p] that ascends with the query, and for one query as the score descends: one quick sort for both."""
    bits = scores.view(np.int32)
    # A float's bits ascend with it, but for negative ones, where they descend.
    ascending = np.where(bits < 0, bits ^ np.int32(0x7FFFFFFF), bits)
    return (queries << 32) - ascending
