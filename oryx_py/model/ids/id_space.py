"""Handles for IDs: the generation's rows first, then the IDs that appeared since."""

from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from oryx_py.model.ids.traces import Unnamed
from oryx_py.model.pieces import Collection, pieces

__all__ = ["IdSpace", "Ids"]


_RECENT = 50_000


class Ids(Protocol):
    """The read-only IDs of a generation, in row order (`oryx_py.model.ids.id_table.IdTable`)."""

    def __len__(self) -> int: ...

    def find(self, id: str) -> int:  # noqa: A002 - the field's own word
        """Return the row of an ID, -1 where the generation has none."""
        ...

    def find_many(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """Return the rows of IDs, int64[n], -1 for each that the generation does not have."""
        ...

    def id(self, row: int) -> str:
        """Return the ID of a row."""
        ...

    def ids(self, rows: NDArray[np.int64]) -> list[str]:
        """Return the IDs of rows, in their order."""
        ...


class IdSpace:
    """Gives every ID a number that stays the same as long as the epoch lives.

    Handles below `base` are rows of the generation; later ones are given in the order of arrival.
    Owned by one `ModelState`, in whose thread alone IDs are looked for and added. Any thread may ask for the IDs of
    handles that it was given, since what has a name keeps it.
    """

    def __init__(self, rows: Ids) -> None:
        self._rows = rows
        self.base = len(rows)
        self._new: dict[str, int] = {}
        self._names: list[str] = []
        self._recent: dict[int, str] = {}
        """By handle, IDs that were interned together lately: whoever asks for handles soon asks for their IDs."""
        self.unnamed = Unnamed()
        """IDs that were there before a checkpoint, and have no handle unless they come back."""

    def __len__(self) -> int:
        return self.base + len(self._names)

    def find(self, id: str) -> int:  # noqa: A002
        """Return the handle of an ID, -1 for one never seen."""
        handle = self._new.get(id)
        return self._rows.find(id) if handle is None else handle

    def intern(self, id: str) -> int:  # noqa: A002
        """Return the handle of an ID, a new one where there was none."""
        handle = self.find(id)
        if handle < 0:
            handle = len(self)
            self.extend([id])
        return handle

    def extend(self, ids: Sequence[str]) -> None:
        """Give the next handles to IDs that have none yet, in their order; not checked."""
        for part in pieces(len(ids)):
            piece, first = ids[part], len(self)
            self._names += piece
            self._new.update(zip(piece, range(first, len(self)), strict=True))
            self.unnamed.meet(piece, first)

    def intern_many(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """Return int64[n], the handles of IDs; new ones for those that had none, in the order of arrival."""
        new = self._new
        distinct = dict.fromkeys(ids)
        unknown = [name for name in distinct if name not in new] if new else list(distinct)
        rows = self._rows.find_many(unknown)
        handles: dict[str, int] = dict(zip(unknown, rows.tolist(), strict=True))
        came = [unknown[at] for at in np.flatnonzero(rows < 0).tolist()]
        if came:
            handles.update(zip(came, range(len(self), len(self) + len(came)), strict=True))
            self.extend(came)
        if len(unknown) < len(distinct):
            handles = {name: handles.get(name, -1) for name in distinct}
            handles = {name: handle if handle >= 0 else new[name] for name, handle in handles.items()}
        if len(self._recent) > _RECENT:
            self._recent.clear()
        self._recent.update(zip(handles.values(), handles, strict=True))
        return np.fromiter(map(handles.__getitem__, ids), np.int64, len(ids))

    def since(self) -> list[str]:
        """Return the IDs that are not the generation's, by handle from `base` on; a copy, for any thread."""
        return self._names.copy()

    def collections(self) -> list[Collection]:
        """Return what has an entry for each new ID; for who frees that piece by piece."""
        return [self._new, self._names, self._recent]

    def id(self, handle: int) -> str:
        """Return the ID of a handle.

        Raises:
            IndexError: the handle was never given.
        """
        if handle < 0:
            raise IndexError(handle)
        return self._rows.id(handle) if handle < self.base else self._names[handle - self.base]

    def ids(self, handles: Iterable[int]) -> list[str]:
        """Return the IDs of several handles, in their order.

        Raises:
            IndexError: one of them was never given.
        """
        numbers = handles.tolist() if isinstance(handles, np.ndarray) else list(handles)
        recent = list(map(self._recent.get, numbers))
        if None not in recent:
            return recent  # type: ignore[return-value]  # as was looked at
        wanted = np.array(numbers, np.int64)
        names = self._rows.ids(wanted[wanted < self.base])
        if len(names) == len(wanted):
            return names
        of_rows = iter(names)
        return [next(of_rows) if handle < self.base else self.id(handle) for handle in wanted.tolist()]
