"""The observed pairs by rows, prepared once for every sweep."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from oryx_py.numerics.arrays import DoubleVector, FloatVector, IntVector
from oryx_py.numerics.objective import Objective

__all__ = ["Observed", "observed"]


@dataclass(frozen=True, slots=True, eq=False)
class Observed:
    """The pairs of one side's rows, compressed: users' for solving users, items' for items.

    ``indptr`` int64[m + 1]; ``indices`` int32[nnz], rows of the other side, of which there are ``others``; ``weights``
    and ``targets`` float32[nnz], the objective's w and t; ``ridges`` float32[m], its λ_u.
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
        rows: NDArray[np.integer],
        columns: NDArray[np.integer],
        strengths: DoubleVector,
        shape: tuple[int, int],
        objective: Objective,
    ) -> Self:
        """Compress pairs by their rows; see `observed`."""
        w, t, counted = objective.weights(strengths)
        kept = (w > 0) | (t != 0)
        rows, columns, w, t, counted = rows[kept], columns[kept], w[kept], t[kept], counted[kept]
        order = np.lexsort((columns, rows))
        sizes = np.bincount(rows, minlength=shape[0])
        ridges = objective.ridges(np.bincount(rows, weights=counted, minlength=shape[0]).astype(np.int64), shape[1])
        return cls(
            indptr=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
            indices=columns[order].astype(np.int32),
            weights=w[order].astype(np.float32),
            targets=t[order].astype(np.float32),
            ridges=ridges.astype(np.float32),
            others=shape[1],
        )


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
        objective: which weighs them; pairs without weight and target are left out.

    Raises:
        ValueError: an index is not below its count.
    """
    if len(users) and not (min(users.min(), items.min()) >= 0 and users.max() < shape[0] and items.max() < shape[1]):
        raise ValueError(f"there are pairs outside {shape[0]} users and {shape[1]} items")
    return (
        Observed.of(users, items, strengths, shape, objective),
        Observed.of(items, users, strengths, shape[::-1], objective),
    )
