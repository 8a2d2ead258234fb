"""Rows that were forgotten by later ones, and files without them. Pure.

A row that has an idempotency key keeps its place, its user and its key, since a later record may repeat it, and since
the clock and the numbers by which repeats are told apart are made of such rows; what was done is taken out of it.
Where nobody tells repeats apart, nothing stays of it, nor of what earlier forgets have left in such places.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from oryx_py.events import FoldSettings, SeenIds

__all__ = ["NOBODYS_ITEM", "Forgets", "Repeats"]

NOBODYS_ITEM: Final = "forgotten-5f0c2a1e-6f1b-4d0c-9a53-2f6f7c1f3e8d"
"""Stands for a forgotten item in a row that has to stay, which then deletes a pair that is nobody's."""


class Forgets:
    """Collects forgets, then says what they forget; they are few.

    Args:
        keeps_keys: whether rows with an idempotency key keep their places, as `FoldSettings.dedupes` says.
    """

    COLUMNS: ClassVar = ["partition", "offset", "user", "item"]
    READ: ClassVar = [*COLUMNS, "id", "strength", "timestamp_ms", "kind"]

    def __init__(self, *, keeps_keys: bool = True) -> None:
        self._keeps_keys = keeps_keys
        self._users: dict[tuple[int, str], int] = {}
        self._items: dict[tuple[int, str], int] = {}

    def __bool__(self) -> bool:
        return bool(self._users or self._items)

    @property
    def users(self) -> list[str]:
        """Those forgotten, in any partition; ascending."""
        return sorted({user for _, user in self._users})

    @property
    def items(self) -> list[str]:
        """The same of items, and what stands for one in rows that need not stay."""
        return sorted({item for _, item in self._items} | ({NOBODYS_ITEM} if not self._keeps_keys else set()))

    def add(self, rows: pa.Table) -> None:
        """Take in the forgets among these rows, none of which only repeats; `COLUMNS` are read."""
        found = rows.filter(pa.array(_empty(rows, "user") | _empty(rows, "item"))).select(self.COLUMNS)
        for partition, offset, user, item in zip(*found.to_pydict().values(), strict=True):
            kept, key = (self._users, (partition, user)) if user else (self._items, (partition, item))
            kept[key] = max(offset, kept.get(key, offset))

    def forgotten(self, rows: pa.Table) -> NDArray[np.bool_]:
        """Bool[rows]: which interactions and deletes were forgotten later; never a forget. `COLUMNS` are read."""
        gone = self._below("user", self._users, rows) | self._below("item", self._items, rows)
        return gone & ~_empty(rows, "user") & ~_empty(rows, "item")

    def due(self, rows: pa.Table) -> NDArray[np.bool_]:
        """Bool[rows]: which rows are to be rewritten; never a forget that nothing repeats. `READ` are read."""
        gone = self.forgotten(rows)
        return gone if self._keeps_keys else gone | self._places(rows)

    def without(self, rows: pa.Table) -> pa.Table:
        """Return the rows that were not forgotten; no forgets, and nothing in their place."""
        gone = self.forgotten(rows) | _empty(rows, "user") | _empty(rows, "item")
        gone |= pc.equal(_column(rows, "item"), pa.scalar(NOBODYS_ITEM)).to_numpy(zero_copy_only=False)
        return rows.filter(pa.array(~gone)) if gone.any() else rows

    def rewritten(self, rows: pa.Table) -> pa.Table | None:
        """Return rows of `HISTORY_SCHEMA`, and columns beyond, without what was forgotten; None where nothing was.

        The fold, with and without repeats where keys are kept, is that of the rows as they were, as long as the forgets
        are kept.
        """
        gone = self.due(rows)
        if not gone.any():
            return None
        if not self._keeps_keys:
            return rows.filter(pa.array(~gone))
        keyed = gone & pc.is_valid(_column(rows, "id")).to_numpy(zero_copy_only=False)
        users = self._below("user", self._users, rows)
        items = np.where(users, "", NOBODYS_ITEM)
        columns = {name: _column(rows, name) for name in rows.schema.names}
        columns["item"] = pc.if_else(pa.array(keyed), pa.array(items, pa.string()), columns["item"])
        for name in ("strength", "timestamp_ms", "kind"):
            columns[name] = pc.if_else(pa.array(keyed), pa.scalar(None, columns[name].type), columns[name])
        return pa.table(list(columns.values()), schema=rows.schema).filter(pa.array(~gone | keyed))

    def _places(self, rows: pa.Table) -> NDArray[np.bool_]:
        """Bool[rows]: which are but places of rows with a key, made by forgets of these or others before them."""
        empty = pc.is_valid(_column(rows, "id")).to_numpy(zero_copy_only=False)
        for name in ("strength", "timestamp_ms", "kind"):
            empty &= pc.is_null(_column(rows, name)).to_numpy(zero_copy_only=False)
        nobodys = pc.equal(_column(rows, "item"), pa.scalar(NOBODYS_ITEM)).to_numpy(zero_copy_only=False)
        # A forget may look the same: it goes as well, since a later one forgets all that it does.
        users = _empty(rows, "item") & self._below("user", self._users, rows)
        return empty & (nobodys | users)

    def _below(self, name: str, forgotten: dict[tuple[int, str], int], rows: pa.Table) -> NDArray[np.bool_]:
        """Bool[rows]: whether a forget of the row's user or item comes after it, in its partition."""
        below = np.zeros(rows.num_rows, np.bool_)
        known = pa.array(sorted({id_ for _, id_ in forgotten}), pa.string())
        named = pc.is_in(_column(rows, name), value_set=known)
        at = np.flatnonzero(named.to_numpy(zero_copy_only=False))
        told = rows.select(["partition", name, "offset"]).take(at).to_pydict()
        for row, partition, id_, offset in zip(at.tolist(), *told.values(), strict=True):
            below[row] = offset < forgotten.get((partition, id_), offset)
        return below


class Repeats:
    """Leaves out what only repeats; told rows in the order of each partition's offsets.

    Args:
        fold: the settings.
        clocks: by partition the clock before the first rows, where these are not the first of all.
    """

    COLUMNS: ClassVar = ["partition", "offset", "kafka_ms", "id", "user", "item"]

    def __init__(self, fold: FoldSettings, clocks: Mapping[int, int] = MappingProxyType({})) -> None:
        self._fold, self._clocks = fold, clocks
        self._seen: dict[int, SeenIds] = {}

    def without(self, rows: pa.Table) -> pa.Table:
        """Return the rows that count; `COLUMNS` are read."""
        if not self._fold.dedupes:
            return rows
        kept = np.ones(rows.num_rows, np.bool_)
        at = np.flatnonzero(pc.is_valid(rows.column("id").combine_chunks()).to_numpy(zero_copy_only=False))
        told = rows.select(["partition", "user", "id", "kafka_ms"]).take(at).to_pydict()
        for row, partition, user, key, kafka_ms in zip(at.tolist(), *told.values(), strict=True):
            if not key:
                continue
            if partition not in self._seen:
                self._seen[partition] = SeenIds(self._fold, self._clocks.get(partition, -1))
            kept[row] = not self._seen[partition].is_repeat(user, key, kafka_ms)
        return rows if kept.all() else rows.filter(pa.array(kept))


def _column(rows: pa.Table, name: str) -> "pa.Array[pa.Scalar[pa.DataType]]":
    return rows.column(name).combine_chunks()


def _empty(rows: pa.Table, name: str) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = pc.equal(_column(rows, name), pa.scalar("")).to_numpy(zero_copy_only=False)
    return found
