"""Which rows were forgotten by later ones."""

from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

__all__ = ["Forgets"]


class Forgets:
    """Collects what was forgotten, then leaves it out; forgets are few."""

    COLUMNS: ClassVar = ["partition", "offset", "user", "item"]

    def __init__(self) -> None:
        self._users: dict[tuple[int, str], int] = {}
        self._items: dict[tuple[int, str], int] = {}

    def add(self, rows: pa.Table) -> None:
        """Take in the forgets among these rows."""
        found = rows.filter(pa.array(_empty(rows, "user") | _empty(rows, "item"))).select(self.COLUMNS)
        for partition, offset, user, item in zip(*found.to_pydict().values(), strict=True):
            kept, key = (self._users, (partition, user)) if user else (self._items, (partition, item))
            kept[key] = max(offset, kept.get(key, offset))

    def without(self, rows: pa.Table) -> pa.Table:
        """Return the rows that were not forgotten; no forgets."""
        gone = _empty(rows, "user") | _empty(rows, "item")
        for name, forgotten in (("user", self._users), ("item", self._items)):
            known = pa.array(sorted({id_ for _, id_ in forgotten}), pa.string())
            named = pc.is_in(rows.column(name).combine_chunks(), value_set=known)
            at = np.flatnonzero(named.to_numpy(zero_copy_only=False))
            told = rows.select(["partition", name, "offset"]).take(at).to_pydict()
            for row, partition, id_, offset in zip(at.tolist(), *told.values(), strict=True):
                gone[row] |= offset < forgotten.get((partition, id_), offset)
        return rows.filter(pa.array(~gone)) if gone.any() else rows


def _empty(rows: pa.Table, name: str) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = pc.equal(rows.column(name).combine_chunks(), pa.scalar("")).to_numpy(
        zero_copy_only=False
    )
    return found
