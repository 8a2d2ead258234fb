"""The observed pairs by rows, weighed once for every sweep."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
from numpy.typing import NDArray

from oryx_py.numerics.arrays import BoolVector, DoubleVector, FloatVector, IntVector
from oryx_py.numerics.objective import Objective

__all__ = ["LARGEST", "Observed", "observed", "weighed"]

LARGEST = 1e6
"""Strengths beyond ±this train as this much, since one of them could make a system singular and so end every training
from then on; the final solve takes them as they are."""

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, eq=False)
class Observed:
    """The pairs of one side's rows, compressed: users' for solving users, items' for items.

    ``indptr`` int64[m + 1]; ``indices`` int32[nnz], rows of the other side, of which there are ``others``; ``weights``
    and ``targets`` float32[nnz], the objective's w and t, both 0 of a pair that does not count; ``ridges`` float32[m],
    its λ_u. Any of them may be mapped.
    """

    indptr: IntVector
    indices: NDArray[np.int32]
    weights: FloatVector
    targets: FloatVector
    ridges: FloatVector
    others: int

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self.indptr) - 1

    @classmethod
    def of(
        cls,
        indptr: IntVector,
        indices: NDArray[np.int32],
        strengths: DoubleVector,
        others: int,
        objective: Objective,
        *,
        rows_out: BoolVector | None = None,
        others_out: BoolVector | None = None,
        threads: int = 1,
    ) -> Self:
        """Weigh pairs that are compressed by their rows; see `weighed` for what is left out."""
        w, t = np.empty(len(indices), np.float32), np.empty(len(indices), np.float32)
        ridges = np.empty(len(indptr) - 1, np.float32)

        def work(rows: tuple[int, int]) -> None:
            first, last = rows
            span = slice(int(indptr[first]), int(indptr[last]))
            w[span], t[span], ridges[first:last] = weighed(
                indptr[first : last + 1] - indptr[first],
                indices[span],
                strengths[span],
                others,
                objective,
                rows_out=None if rows_out is None else rows_out[first:last],
                others_out=others_out,
            )

        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, _spans(indptr)))
        return cls(indptr, indices, w, t, ridges, others)


def _spans(indptr: IntVector) -> list[tuple[int, int]]:
    """Ranges of rows of about `_CHUNK` pairs, so that what is computed of them at a time stays small."""
    pairs = int(indptr[-1])
    edges = np.searchsorted(indptr, np.arange(_CHUNK, max(pairs, 1), _CHUNK))
    cuts = np.unique([0, *edges.tolist(), len(indptr) - 1])
    return [(int(first), int(last)) for first, last in pairwise(cuts)]


def weighed(
    indptr: IntVector,
    indices: NDArray[np.int32],
    strengths: DoubleVector,
    others: int,
    objective: Objective,
    *,
    rows_out: BoolVector | None = None,
    others_out: BoolVector | None = None,
) -> tuple[FloatVector, FloatVector, FloatVector]:
    """Return w and t of each pair, and λ of each row, float32, of rows whose pairs begin at 0.

    Rows of ``rows_out`` bool[m], and pairs with those of ``others_out`` bool[others], have no weight and are not
    counted: as if nobody had observed them.
    """
    w, t, counted = objective.weights(np.clip(strengths, -LARGEST, LARGEST))
    sizes = np.diff(indptr)
    if rows_out is not None and rows_out.any():
        there = ~np.repeat(rows_out, sizes)
        w, t, counted = w * there, t * there, counted & there
    if others_out is not None:
        there = ~others_out[indices]
        w, t, counted = w * there, t * there, counted & there
    before = np.concatenate([[0], np.cumsum(counted)])
    ridges = objective.ridges(before[indptr[1:]] - before[indptr[:-1]], others)
    return w.astype(np.float32), t.astype(np.float32), ridges.astype(np.float32)


def observed(
    users: NDArray[np.integer],
    items: NDArray[np.integer],
    strengths: DoubleVector,
    shape: tuple[int, int],
    objective: Objective,
) -> tuple[Observed, Observed]:
    """Return the pairs by users and by items.

    Args:
        users, items: int[n], each pair once, in any order.
        strengths: float64[n], folded.
        shape: how many users and items there are.
        objective: which weighs them.

    Raises:
        ValueError: an index is not below its count.
    """
    if len(users) and not (min(users.min(), items.min()) >= 0 and users.max() < shape[0] and items.max() < shape[1]):
        raise ValueError(f"there are pairs outside {shape[0]} users and {shape[1]} items")
    sides = []
    for rows, columns, count, others in ((users, items, *shape), (items, users, *shape[::-1])):
        order = np.lexsort((columns, rows))
        indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=count))]).astype(np.int64)
        sides.append(Observed.of(indptr, columns[order].astype(np.int32), strengths[order], others, objective))
    return sides[0], sides[1]
