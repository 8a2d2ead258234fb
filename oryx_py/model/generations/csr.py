"""Histories as compressed sparse rows."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["Csr"]


@dataclass(frozen=True, slots=True, eq=False)
class Csr:
    """The pairs of one side, row by row; a pair's number is its position.

    ``indptr`` int64[rows + 1]: row ``i`` has the pairs ``indptr[i]`` … ``indptr[i + 1] - 1``. ``indices`` int32[pairs]:
    rows of the other side, in a generation ascending within a row, none twice. ``strengths`` float64[pairs]: folded,
    finite; 0 is a pair that is known but counts as unobserved.
    """

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    strengths: NDArray[np.float64]

    @classmethod
    def from_pairs(
        cls,
        rows: NDArray[np.integer[Any]],
        columns: NDArray[np.integer[Any]],
        strengths: NDArray[np.float64],
        count: int,
    ) -> Self:
        """Group pairs, in any order, into ``count`` rows; within a row they keep their order.

        Raises:
            ValueError: the three differ in length, or a row is not in 0 … count - 1.
        """
        if not len(rows) == len(columns) == len(strengths):
            raise ValueError(f"{len(rows)} rows, {len(columns)} columns and {len(strengths)} strengths are no pairs")
        if len(rows) and not (rows.min() >= 0 and rows.max() < count):
            raise ValueError(f"rows from {rows.min()} to {rows.max()} are not all in 0 … {count - 1}")
        order = _stable_order(rows)
        indptr = np.zeros(count + 1, np.int64)
        np.cumsum(np.bincount(rows, minlength=count), out=indptr[1:])
        return cls(indptr, columns[order].astype(np.int32, copy=False), strengths[order].astype(np.float64, copy=False))

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @property
    def pairs(self) -> int:
        """The number of pairs."""
        return len(self.indices)

    def row(self, i: int) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """The other side's rows, int32[n], and the strengths, float64[n], of row ``i``: views, not copies."""
        start, end = self.indptr[i], self.indptr[i + 1]
        return self.indices[start:end], self.strengths[start:end]

    def transposed(self, count: int) -> "Csr":
        """The same pairs seen from the other side, which has ``count`` rows; each row ascending."""
        rows = np.repeat(np.arange(len(self), dtype=np.int32), np.diff(self.indptr))
        return Csr.from_pairs(self.indices, rows, self.strengths, count)

    def fault(self, columns: int) -> tuple[str, str] | None:
        """The array that is wrong, and how, where the other side has ``columns`` rows; None where nothing is."""
        if not len(self.indptr) or self.indptr[0] != 0 or (np.diff(self.indptr) < 0).any():
            return "indptr", "does not ascend from 0"
        if not self.indptr[-1] == len(self.indices) == len(self.strengths):
            return (
                "indptr",
                f"ends at {self.indptr[-1]}, of {len(self.indices)} indices, {len(self.strengths)} strengths",
            )
        if len(self.indices) and not (self.indices.min() >= 0 and self.indices.max() < columns):
            return "indices", f"has {self.indices.min()} to {self.indices.max()}, not all in 0 … {columns - 1}"
        if not np.isfinite(self.strengths).all():
            return "strengths", "is not all finite"
        return None

    def ascends(self) -> bool:
        """Whether the indices ascend within every row, none twice."""
        rises = np.diff(self.indices) > 0
        borders = self.indptr[1:-1]
        rises[borders[(borders > 0) & (borders < len(self.indices))] - 1] = True
        return bool(rises.all())


def _stable_order(keys: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """The stable argsort of keys in 0 … 2³¹ - 1, by halves: NumPy sorts 16 bits by radix, 2–3 times as fast as 32."""
    low = np.argsort(keys.astype(np.uint16), kind="stable")
    high = (keys >> 16).astype(np.uint16)
    return low[np.argsort(high[low], kind="stable")] if high.any() else low
