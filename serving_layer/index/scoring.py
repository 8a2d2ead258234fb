"""Exact scores, and the margin within which approximate ones cannot tell. Pure.

A score is the float64 sum of float32 products, rounded to float32: a function of the vectors alone, whatever found the
candidates.
"""

from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "SMALL_NORM",
    "Factors",
    "Handles",
    "Metric",
    "Query",
    "Scores",
    "exact_pair_scores",
    "exact_score",
    "exact_scores",
    "margin",
    "shown",
]

Metric: TypeAlias = Literal["dot", "cosine"]
Handles: TypeAlias = NDArray[np.int64]
Query: TypeAlias = NDArray[np.float64]
Factors: TypeAlias = NDArray[np.float32]
Scores: TypeAlias = NDArray[np.float32]

SMALL_NORM = 1e-30
"""Of vectors shorter than this, or longer than its inverse, float32 products under- or overflow."""

_BLOCK_ROWS = 65_536
"""Rows widened to float64 at a time: 26 MB at 50 features."""
_LARGEST = float(np.finfo(np.float32).max)
_FEW = 8
"""Scores that are bounded sooner one by one."""
_UNIT = 2.0**-24
"""Half a unit in the last place of float32, relative."""
_TINIEST = 2.0**-149
"""The smallest float32, which a product may lose when it underflows."""


def exact_scores(query: Query, vectors: Factors, metric: Metric, rows: Handles | None = None) -> Scores:
    """Score vectors against a query, each independently of the others; float32[n], finite.

    ``query`` float64[k]; ``vectors`` float32[n, k], of which only ``rows`` if given. The cosine with a zero vector is
    0, and it may leave the last columns out: that of a shorter query is of as many columns. What float32 cannot hold
    becomes its largest number.
    """
    if metric == "cosine":
        vectors = vectors[:, : len(query)]
    count = len(vectors) if rows is None else len(rows)
    if metric == "dot" and count <= _BLOCK_ROWS:
        Y = vectors if rows is None else vectors[rows]
        return shown(np.add.reduce(Y * query, axis=1))  # float32 times float64 is float64
    scores = np.empty(count, np.float32)
    for start in range(0, count, _BLOCK_ROWS):
        block = slice(start, start + _BLOCK_ROWS)
        Y = vectors[block if rows is None else rows[block]].astype(np.float64)
        # Not BLAS: its order of summation depends on how many rows there are.
        found = np.add.reduce(Y * query, axis=1)
        if metric == "cosine":
            norms = np.sqrt((Y * Y).sum(axis=1)) * np.sqrt((query * query).sum())
            found = np.divide(found, norms, out=np.zeros_like(found), where=norms > 0)
            np.clip(found, -1.0, 1.0, out=found)
        scores[block] = shown(found)
    return scores


def exact_score(query: Query, vector: Factors) -> float:
    """Score one vector, float32[k], as `exact_scores` does by "dot", for a quarter of its time."""
    return _bounded(float(np.add.reduce(vector * query)))


def exact_pair_scores(queries: NDArray[np.float64], vectors: Factors) -> Scores:
    """Score pairs of a query and a vector, float64[n, k] and float32[n, k], as `exact_scores` does by "dot"."""
    return shown((vectors.astype(np.float64) * queries).sum(axis=1))


def margin(features: int, largest: float, scale: float = 1.0) -> float:
    """How far below another an approximate score must be to be lower for certain; infinite where nothing is certain.

    For inner products of unit queries, computed in float32 in any order: each is off by at most γ‖y‖, γ = (k + 4)·2⁻²⁴
    (Higham 2002, "Accuracy and Stability of Numerical Algorithms", section 3.1, with the rounding of the query and a
    scaling), and exact ones within a unit in the last place are a tie.

    Args:
        features: the length k.
        largest: upper bound of ‖y‖, 1 for cosines.
        scale: the norm of the query before it was made a unit, by which the scores shown are larger.
    """
    if not max(largest, largest * scale) < _LARGEST / 4:
        return np.inf
    rounding = (features + 4) * _UNIT * largest + features * _TINIEST
    return 2 * rounding + 2 * _UNIT * largest + _TINIEST / scale


def shown(scores: NDArray[np.float64]) -> Scores:
    """Return scores as they are answered: float32, the largest where that cannot hold them."""
    if len(scores) <= _FEW:
        return np.array([_bounded(score) for score in scores.tolist()], np.float32)
    bounded = np.maximum(scores, -_LARGEST)
    np.minimum(bounded, _LARGEST, out=bounded)
    bounded += 0.0
    return bounded.astype(np.float32)


def _bounded(score: float) -> float:
    return min(max(score, -_LARGEST), _LARGEST) + 0.0  # adding 0 makes 0 of -0, which JSON would show
