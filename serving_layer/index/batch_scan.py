"""A search for many queries at once, cut into pieces: index and delta, scored exactly."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from serving_layer.index.delta import Delta
from serving_layer.index.norm_order import NormOrder
from serving_layer.index.ranking import Ranked
from serving_layer.index.scoring import Factors, Handles, exact_pair_scores, margin
from serving_layer.index.shortlists import TILE_ROWS, Pairs, Shortlists

__all__ = ["BatchScan", "Found"]

PIECE_COST: Final = 800_000_000
"""Multiplications of a piece: some 25 ms of one core at the 32 to 40 thousand million a second of sgemm."""
_PAIRS_AT_ONCE: Final = 16_384
"""Widened to float64 at a time: 8 MB at 64 features."""


class Found(NamedTuple):
    """What was found for one query: its best rows, exactly ranked, and candidates of the delta in no order."""

    rows: Ranked
    delta: Ranked


class BatchScan:
    """Finds what `ItemIndex.best` and `Delta.candidates` find by inner product, for many queries.

    To be made by the owner of the delta, and then used by one thread at a time: `step` until it returns True, then
    `found`. A vector of the delta that changes meanwhile may have been seen before, after, or halfway.

    Args:
        factors: float32[n, k], the generation's.
        largest_norm: of its rows.
        by_norm: in which order to look at them, None for their own.
        delta: what replaces or joins them.
        queries: float64[q, k].
        want: how many of each, above 0.
        excluded: for each query int64[e], handles to leave out, none twice.
    """

    def __init__(
        self,
        factors: Factors,
        largest_norm: float,
        by_norm: NormOrder | None,
        delta: Delta,
        queries: NDArray[np.float64],
        want: int,
        excluded: list[Handles],
    ) -> None:
        self._factors = factors
        self._largest_norm = largest_norm
        self._order = by_norm
        self._delta = delta
        self._queries = queries
        self._want = want
        self._excluded = excluded
        self._tiles = self._scanned()
        self._found: list[Found | None] = []

    @property
    def cost(self) -> int:
        """About how many multiplications a step takes, at most."""
        return min(PIECE_COST, len(self._queries) * (self._factors.size + self._delta.vectors.size))

    def step(self) -> bool:
        """Do a piece of the work; returns whether it was the last one."""
        left = PIECE_COST
        for multiplications in self._tiles:
            left -= multiplications
            if left <= 0:
                return False
        return True

    def found(self) -> list[Found | None]:
        """Return what was found for each query; None where rounding allows no proof."""
        return self._found

    def _scanned(self) -> Iterator[int]:
        """Do the work tile by tile; yields the multiplications of each."""
        queries = self._queries
        norms = np.sqrt((queries * queries).sum(axis=1))
        slack = self._slack(norms)
        provable = np.flatnonzero(np.isfinite(slack))
        units = (queries[provable] / norms[provable, None]).astype(np.float32)
        excluded = self._pairs(provable)
        in_rows = excluded.rows < len(self._factors)
        left_out = Pairs(excluded.queries[in_rows], self._places(excluded.rows[in_rows])).by_row()
        base = Shortlists(units, self._want, slack[provable], left_out)
        delta = Shortlists(units, self._want, slack[provable], _slots(self._delta.handles, excluded))
        masked = np.sort(self._places(self._delta.masked(len(self._factors))))
        absent = np.flatnonzero(~self._delta.present)
        if len(units):
            yield from _scan(base, self._factors, masked, len(units), self._order)
            yield from _scan(delta, self._delta.vectors, absent, len(units), None)
        self._found = [None] * len(queries)
        found = base.pairs()
        if self._order is not None:
            found = Pairs(found.queries, self._order.rows[found.rows])
        ranked = _split(self._scored(found, provable, self._factors), len(provable), self._want)
        slots = _split(self._scored(delta.pairs(), provable, self._delta.vectors), len(provable), None)
        for query, ranking, (at, scores) in zip(provable.tolist(), ranked, slots, strict=True):
            self._found[query] = Found(ranking, Ranked(self._delta.handles[at], scores))

    def _places(self, rows: Handles) -> Handles:
        return rows if self._order is None else self._order.places[rows]

    def _slack(self, norms: NDArray[np.float64]) -> NDArray[np.float64]:
        features = self._factors.shape[1]
        squares = np.einsum("ij,ij->i", self._delta.vectors, self._delta.vectors, dtype=np.float64)
        # Not `max`, which may drop a NaN: of a vector that is half written nothing is proven.
        largest = float(np.maximum(self._largest_norm, np.sqrt(squares.max(initial=0.0))))
        return np.array([margin(features, largest, norm) if norm > 0 else np.inf for norm in norms.tolist()])

    def _pairs(self, provable: Handles) -> Pairs:
        excluded = [self._excluded[query] for query in provable.tolist()]
        if not excluded:
            return Pairs.none()
        return Pairs(
            np.repeat(np.arange(len(excluded)), [len(handles) for handles in excluded]), np.concatenate(excluded)
        )

    def _scored(self, pairs: Pairs, provable: Handles, vectors: Factors) -> tuple[Pairs, Factors]:
        scores = np.empty(len(pairs.rows), np.float32)
        for start in range(0, len(scores), _PAIRS_AT_ONCE):
            block = slice(start, start + _PAIRS_AT_ONCE)
            queries = self._queries[provable[pairs.queries[block]]]
            scores[block] = exact_pair_scores(queries, vectors[pairs.rows[block]])
        return pairs, scores


def _scan(
    shortlists: Shortlists, matrix: Factors, hidden: Handles, queries: int, order: NormOrder | None
) -> Iterator[int]:
    tile_rows = max(1, min(TILE_ROWS, PIECE_COST // (queries * matrix.shape[1])))
    for start in range(0, len(matrix), tile_rows):
        stop = min(start + tile_rows, len(matrix))
        active = shortlists.open_to(np.inf if order is None else float(order.norms[start]))
        if not len(active):
            return  # nor to what is shorter still
        tile = matrix[start:stop] if order is None else matrix[order.rows[start:stop]]
        first, last = hidden.searchsorted([start, stop])
        shortlists.scan(tile, start, hidden[first:last], active)
        yield len(active) * tile.size


def _slots(handles: Handles, excluded: Pairs) -> Pairs:
    """Return the pairs whose handle is in the delta, with its place there in the handle's place."""
    if not len(handles):
        return Pairs.none()
    order = np.argsort(handles)
    at = order[np.minimum(handles.searchsorted(excluded.rows, sorter=order), len(handles) - 1)]
    there = handles[at] == excluded.rows
    return Pairs(excluded.queries[there], at[there]).by_row()


def _split(scored: tuple[Pairs, Factors], queries: int, want: int | None) -> Iterator[Ranked]:
    """Rank by query, then score, then row; of each query ``want`` or all."""
    (numbers, rows), scores = scored
    order = np.lexsort((rows, -scores, numbers))
    numbers, rows, scores = numbers[order], rows[order], scores[order]
    borders = numbers.searchsorted(np.arange(queries + 1)).tolist()
    for start, end in pairwise(borders):
        stop = end if want is None else min(end, start + want)
        yield Ranked(rows[start:stop], scores[start:stop])
