"""The candidates of a query, as a plug-in sees them."""

from collections.abc import Iterator, Sequence
from typing import Final, Protocol, overload

import numpy as np
from numpy.typing import NDArray

__all__ = ["Candidates", "Table"]

_CHUNK: Final = 4096


class Table(Protocol):
    """The IDs of a generation, in row order; any thread may read them."""

    def __len__(self) -> int: ...

    def id(self, row: int) -> str:
        """Return the ID of a row."""
        ...

    def ids(self, rows: NDArray[np.int64]) -> list[str]:
        """Return the IDs of rows, in their order."""
        ...


class Candidates(Sequence[str]):
    """IDs, each made only when it is looked at; frozen.

    Attributes:
        generation: its name. As long as it is the same, so are its rows.
        kind: ``"items"`` or ``"users"``.
        rows: int64[n], the generation's row of each candidate; -1 for those that came since. Rows are in bytewise order
            of the IDs, and numbered from 0.
        table: the IDs of all rows; `Aligned` makes arrays beside it.
    """

    __slots__ = ("_handles", "_new", "generation", "kind", "rows", "table")

    def __init__(
        self, generation: str, kind: str, table: Table, handles: NDArray[np.int64], new: Sequence[str]
    ) -> None:
        self.generation = generation
        self.kind = kind
        self.table = table
        self._handles = handles
        self._new = new
        self.rows = handles if not new else np.where(handles < len(table), handles, -1)

    def __len__(self) -> int:
        return len(self._handles)

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> "Candidates": ...
    def __getitem__(self, at: int | slice) -> "str | Candidates":
        if isinstance(at, slice):
            return Candidates(self.generation, self.kind, self.table, self._handles[at], self._new)
        handle = int(self._handles[at])
        return self.table.id(handle) if handle < len(self.table) else self._new[handle - len(self.table)]

    def __iter__(self) -> Iterator[str]:
        base = len(self.table)
        for start in range(0, len(self), _CHUNK):
            handles = self._handles[start : start + _CHUNK]
            of_rows = iter(self.table.ids(handles[handles < base]))
            for handle in handles.tolist():
                yield next(of_rows) if handle < base else self._new[handle - base]

    def take(self, positions: NDArray[np.int64] | NDArray[np.bool_]) -> "Candidates":
        """Return some of them, by position or by mask."""
        return Candidates(self.generation, self.kind, self.table, self._handles[positions], self._new)
