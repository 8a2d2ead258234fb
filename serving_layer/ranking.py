"""What comes first: exact scores, ties by ID, and the margin within which approximate scores cannot tell. Pure.

A score is the float64 sum of float32 products, rounded to float32, and a tie is a tie of what is shown. So the order
is a function of the vectors alone, whatever found the candidates, and pages neither repeat nor miss an item.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "SMALL_NORM",
    "Factors",
    "Handles",
    "Metric",
    "Query",
    "Ranked",
    "Scores",
    "distinct",
    "exact_pair_scores",
    "exact_score",
    "exact_scores",
    "in_order",
    "largest_counts",
    "margin",
    "merged",
    "outside",
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


class Ranked(NamedTuple):
    """Handles, int64[n], and their scores, float32[n], best first."""

    handles: Handles
    scores: Scores


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


def in_order(handles: Handles, scores: NDArray[np.generic], base: int, name: Callable[[int], str]) -> Handles:
    """Return the positions in the order of the answer: by score descending, ties by ID, bytewise.

    Handles below ``base`` are rows of a generation, whose order is that of the IDs; ``name`` gives the ID of any
    handle.
    """
    order = np.lexsort((handles, np.negative(scores)))
    if not (handles >= base).any():
        return order
    ordered = scores[order]
    borders = np.concatenate([[0], np.flatnonzero(ordered[1:] != ordered[:-1]) + 1, [len(order)]])
    starts, ends = borders[:-1], borders[1:]
    tied = (ends - starts > 1) & (handles[order[ends - 1]] >= base)
    for start, end in zip(starts[tied].tolist(), ends[tied].tolist(), strict=True):
        run = order[start:end].tolist()
        order[start:end] = sorted(run, key=lambda at: name(int(handles[at])).encode())
    return order


def merged(rows: Ranked, delta: Ranked, want: int, base: int, name: Callable[[int], str]) -> Ranked:
    """Return the ``want`` best of two lists without common handles, as `in_order` has them."""
    handles = np.concatenate([rows.handles, delta.handles])
    scores = np.concatenate([rows.scores, delta.scores])
    order = in_order(handles, scores, base, name)[:want]
    return Ranked(handles[order], scores[order])


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


def outside(handles: Handles, left_out: Handles) -> NDArray[np.bool_]:
    """Return bool[n]: which handles are not among ``left_out``, int64[m], ascending."""
    if not len(left_out):
        return np.ones(len(handles), np.bool_)
    at = left_out.searchsorted(handles)
    return np.not_equal(left_out.take(at, mode="clip"), handles)


def distinct(handles: Handles) -> Handles:
    """Return int64[m]: each handle once, ascending; of many sooner than NumPy's `unique`, which hashes them."""
    ascending = np.sort(handles)
    first = np.ones(len(ascending), np.bool_)
    np.not_equal(ascending[1:], ascending[:-1], out=first[1:])
    return ascending[first]


def largest_counts(counts: NDArray[np.int64], want: int, base: int, name: Callable[[int], str]) -> Handles:
    """Return the handles of the ``want`` largest counts above 0, largest first, ties by ID; int64[≤ want].

    ``counts`` int64[handles], by handle; ``base`` and ``name`` as of `in_order`.
    """
    if want <= 0 or not len(counts):
        return np.empty(0, np.int64)
    want = min(want, len(counts))
    boundary = max(int(np.partition(counts, len(counts) - want)[len(counts) - want]), 1)
    tied = np.flatnonzero(counts == boundary)
    split = int(np.searchsorted(tied, base))
    # Of the rows, the first ones are first by ID too; a million of them may share the boundary.
    candidates = np.concatenate([np.flatnonzero(counts > boundary), tied[:split][:want], tied[split:]])
    return candidates[in_order(candidates, counts[candidates], base, name)[:want]]
