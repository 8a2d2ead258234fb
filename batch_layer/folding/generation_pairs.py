"""The folded pairs that a generation has, mapped from its files."""

from bisect import bisect_left
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oryx_py.model.files import map_array
from oryx_py.model.generations.csr import Csr
from oryx_py.model.ids.id_table import IdTable
from oryx_py.model.ids.packed_ids import PackedIds

__all__ = ["Pairs"]


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """The pairs of a generation, mapped; ``users`` and ``items`` in row order, ``histories`` a row a user."""

    users: PackedIds
    items: PackedIds
    item_table: IdTable
    histories: Csr

    @classmethod
    def open(cls, path: Path) -> "Pairs":
        """Map a generation's files; checked by whoever chose it."""
        return cls(
            users=_packed(path, "users"),
            items=_packed(path, "items"),
            item_table=IdTable.open(path, "items"),
            histories=Csr(
                map_array(path / "users.history.indptr.npy", np.int64, (None,)),
                map_array(path / "users.history.indices.npy", np.int32, (None,)),
                map_array(path / "users.history.strengths.npy", np.float64, (None,)),
            ),
        )

    def cuts(self, parts: int) -> NDArray[np.int64]:
        """Return int64[parts + 1]: the first user of each of so many ranges with about as many pairs each."""
        indptr = self.histories.indptr
        wanted = np.arange(1, parts) * (int(indptr[-1]) / parts)
        return np.concatenate([[0], np.searchsorted(indptr, wanted), [len(self.users)]]).astype(np.int64)

    def user(self, row: int) -> bytes:
        """Return a user's ID."""
        return self.users.data[self.users.offsets[row] : self.users.offsets[row + 1]].tobytes()

    def place(self, user: bytes, start: int, stop: int) -> int:
        """Return the first of these rows whose ID is not below, ``stop`` where all are."""
        return bisect_left(range(stop), user, start, stop, key=self.user)


def _packed(path: Path, name: str) -> PackedIds:
    return PackedIds(
        map_array(path / f"{name}.ids.offsets.npy", np.int64, (None,)),
        map_array(path / f"{name}.ids.bytes.npy", np.uint8, (None,)),
    )
