"""The exact scan: faiss's brute force over the mapped factors, its candidates scored again in float64."""

import faiss
import numpy as np
from numpy.typing import NDArray

from oryx_py.errors import CorruptGeneration
from oryx_py.numerics.ranking.shortlist import shortlist
from serving_layer.index.norm_order import NormOrder
from serving_layer.index.ranking import Ranked, outside
from serving_layer.index.scoring import SMALL_NORM, Factors, Handles, Metric, Query, exact_scores, margin

__all__ = ["ExactIndex"]

_BLOCK_ROWS = 65_536
_SPARE = 16
"""Rows asked for beyond those wanted, to see that the next ones are lower for certain."""
_HEAP_LIMIT = 512
"""From here on faiss's heap costs more than scoring all rows and selecting."""
_IN_THE_CACHE = 1_000_000
"""Numbers: below, calling faiss costs more than it saves."""


class ExactIndex:
    """The items of a generation as they are in its file: no second copy, so that processes share the pages.

    Inner products go through ``faiss.knn``, the scan of ``IndexFlatIP`` without its copy. Cosines, few items, many rows
    and boundaries within rounding are found by scoring every row.

    Args:
        factors: float32[n, k], C-contiguous.
        compared: of how many columns cosines are, the first ones; None for all.

    Raises:
        CorruptGeneration: a vector is not finite.
    """

    def __init__(self, factors: Factors, compared: int | None = None) -> None:
        self._factors = factors
        self._compared = factors[:, :compared]
        norms = _lengths(factors)
        if not np.isfinite(norms).all():
            raise CorruptGeneration("an item's vector is not finite: reject this generation and publish another")
        self._largest_norm = float(norms.max(initial=0.0))
        self._by_norm = NormOrder.of(norms)
        if self._compared.shape != factors.shape:
            norms = _lengths(self._compared)
        smallest = float(norms.min(initial=np.inf, where=norms > 0))
        self._can_scale = smallest > SMALL_NORM and self._largest_norm < 1 / SMALL_NORM
        # Zero vectors get 0, their cosine.
        scales = np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0)
        self._scales = (scales if self._can_scale else np.zeros_like(norms)).astype(np.float32)

    @property
    def rows(self) -> int:
        """How many items there are."""
        return len(self._factors)

    @property
    def cost(self) -> int:
        """About how many multiplications a search takes."""
        return int(self._factors.size)

    @property
    def largest_norm(self) -> float:
        """The length of the longest row."""
        return self._largest_norm

    @property
    def by_norm(self) -> NormOrder | None:
        """The rows by length, where that rules out many."""
        return self._by_norm

    def best(self, query: Query, want: int, skip: Handles, metric: Metric) -> Ranked:
        """Return the ``want`` best rows, fewer only where there are no more, by exact score, ties by row."""
        want = min(want, self.rows - len(skip))
        norm = float(np.sqrt((query * query).sum()))
        if want <= 0:
            return Ranked(np.empty(0, np.int64), np.empty(0, np.float32))
        if norm == 0:
            rows = np.setdiff1d(np.arange(min(want + len(skip), self.rows)), skip, assume_unique=True)[:want]
            return Ranked(rows, np.zeros(len(rows), np.float32))
        rows = self._candidates(query, norm, want, skip, metric)
        scores = exact_scores(query, self._factors, metric, rows)
        order = np.lexsort((rows, -scores))[:want]
        return Ranked(rows[order], scores[order])

    def _candidates(self, query: Query, norm: float, want: int, skip: Handles, metric: Metric) -> Handles:
        slack = self._slack(norm, metric)
        if not np.isfinite(slack):
            return np.setdiff1d(np.arange(self.rows), skip, assume_unique=True)
        unit = (query / norm).astype(np.float32)
        if metric == "dot" and self.cost > _IN_THE_CACHE and want + len(skip) + _SPARE <= _HEAP_LIMIT:
            found = self._by_heap(unit, want, skip, slack)
            if found is not None:
                return found
        if metric == "cosine":
            approximate = self._compared @ unit
            approximate *= self._scales
        else:
            approximate = self._factors @ unit
        approximate[skip] = -np.inf
        return shortlist(approximate, want, slack)

    def _slack(self, norm: float, metric: Metric) -> float:
        features = self._factors.shape[1]
        if metric == "dot":
            return margin(features, self._largest_norm, norm)
        return margin(features, 1.0) if self._can_scale else np.inf

    def _by_heap(self, query: Factors, want: int, skip: Handles, slack: float) -> Handles | None:
        """Return candidates that surely hold the best, None where the rows fetched cannot prove it."""
        fetch = min(want + len(skip) + _SPARE, self.rows)
        scores, rows = (found[0] for found in faiss.knn(query[None], self._factors, fetch, faiss.METRIC_INNER_PRODUCT))
        worst = float(scores[-1])
        if len(skip):
            kept = outside(rows, skip)
            scores, rows = scores[kept], rows[kept]
        cut = float(scores[want - 1]) - slack
        if fetch < self.rows and worst >= cut:
            return None
        return np.asarray(rows[scores >= cut], np.int64)


def _lengths(vectors: Factors) -> NDArray[np.float64]:
    norms = np.empty(len(vectors), np.float64)
    for start in range(0, len(vectors), _BLOCK_ROWS):
        Y = vectors[start : start + _BLOCK_ROWS].astype(np.float64)
        norms[start : start + _BLOCK_ROWS] = np.sqrt((Y * Y).sum(axis=1))
    return norms
