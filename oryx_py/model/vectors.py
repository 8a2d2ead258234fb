"""Vectors by handle: the generation's matrix below, and what changed since above it."""

import numpy as np
from numpy.typing import NDArray

from oryx_py.errors import BadMessage
from oryx_py.model.state_changes import VectorChanges

__all__ = ["VectorTable"]

Matrix = NDArray[np.float32]
Handles = NDArray[np.int64]


_FEW = 8
"""Handles that are gathered sooner one by one."""
_MANY = 1_000
"""Handles for which it is worth while to sort the delta's."""


class VectorTable:
    """A generation's factors, read-only, with a delta of new, moved and removed vectors over them.

    The delta stands in one contiguous matrix, so that it can be scanned as it is. A handle once in the delta keeps
    its slot until the epoch ends. Owned by one `ModelState`; not safe for use by several threads.

    Args:
        base: float32[n, k], the generation's factors; row r is the vector of handle r.
    """

    def __init__(self, base: Matrix) -> None:
        self.base = base
        self.version = 0
        """Rises with every change."""
        self._slots: dict[int, int] = {}
        self._matrix = np.zeros((8, base.shape[1]), np.float32)
        self._handles = np.zeros(8, np.int64)
        self._present = np.zeros(8, np.bool_)
        self._changed = np.zeros(8, np.int64)

    @property
    def features(self) -> int:
        """The length k of every vector."""
        return int(self.base.shape[1])

    @property
    def delta_handles(self) -> Handles:
        """int64[m]: the handles whose vector is not the base's: new, moved or removed ones."""
        return self._handles[: len(self._slots)]

    @property
    def delta_matrix(self) -> Matrix:
        """float32[m, k]: their vectors, zeros where removed; a view that the next change may alter."""
        return self._matrix[: len(self._slots)]

    @property
    def delta_present(self) -> NDArray[np.bool_]:
        """bool[m]: which of them have a vector at all."""
        return self._present[: len(self._slots)]

    def changed_since(self, version: int) -> Handles:
        """Return int64[c]: the handles whose vector was set or removed since this was the `version`; in no order."""
        if version == self.version:
            return np.empty(0, np.int64)
        return self.delta_handles[self._changed[: len(self._slots)] > version]

    def masked(self, row: int) -> bool:
        """Say whether a row of the base is replaced by the delta."""
        return row in self._slots

    def get(self, handle: int) -> Matrix | None:
        """Return a copy-free float32[k] view of a handle's vector, None where it has none."""
        slot = self._slots.get(handle)
        if slot is not None:
            return self._matrix[slot] if self._present[slot] else None
        return self.base[handle] if 0 <= handle < len(self.base) else None

    def has(self, handles: Handles) -> NDArray[np.bool_]:
        """Return bool[n]: which handles have a vector."""
        found: NDArray[np.bool_] = (handles >= 0) & (handles < len(self.base))
        at, slots = self._moved(handles)
        found[at] = self._present[slots]
        return found

    def gather(self, handles: Handles) -> Matrix:
        """Return float32[n, k], the handles' vectors as a copy; zeros where there is none."""
        found = np.zeros((len(handles), self.features), np.float32)
        if len(handles) <= _FEW:
            for at, handle in enumerate(handles.tolist()):
                vector = self.get(handle)
                if vector is not None:
                    found[at] = vector
            return found
        handles = np.asarray(handles, np.int64)
        if len(self.base) and len(handles):
            self.base.take(handles, axis=0, out=found, mode="clip")
            outside = (handles < 0) | (handles >= len(self.base))
            if np.count_nonzero(outside):
                found[outside] = 0
        moved, slots = self._moved(handles)
        found[moved] = self._matrix[slots]
        return found

    def set(self, handle: int, vector: Matrix | None) -> None:
        """Replace a handle's vector; None removes it.

        Raises:
            BadMessage: the vector has another length than the generation's.
        """
        if vector is not None and vector.shape != (self.features,):
            raise BadMessage(f"a vector of length {vector.size} where the generation has {self.features} features")
        slot = self._slots.get(handle)
        if slot is None:
            if vector is None and handle >= len(self.base):
                return
            slot = self._add(handle)
        self._matrix[slot] = 0 if vector is None else vector
        self._present[slot] = vector is not None
        self.version += 1
        self._changed[slot] = self.version

    def dump(self) -> VectorChanges:
        """Return the delta, in arrays of its own."""
        return VectorChanges(self.delta_handles.copy(), self.delta_matrix.copy(), self.delta_present.copy())

    def load(self, changes: VectorChanges) -> None:
        """Take over the delta of another table of the same base; nothing may have been set here before."""
        assert not self._slots
        count = len(changes.handles)
        room = max(8, 2 * count)  # of zeros, which take memory only when they are written
        self._matrix, self._handles = np.zeros((room, self.features), np.float32), np.zeros(room, np.int64)
        self._present, self._changed = np.zeros(room, np.bool_), np.zeros(room, np.int64)
        self._slots = dict(zip(changes.handles.tolist(), range(count), strict=True))
        self._matrix[:count], self._handles[:count] = changes.matrix, changes.handles
        self._present[:count] = changes.present
        self.version += 1
        self._changed[:count] = self.version

    def _moved(self, handles: Handles) -> tuple[Handles, Handles]:
        """Return the positions of those handles that the delta has, and the slot of each; both int64[d]."""
        if not self._slots:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        if len(handles) <= _MANY:
            pairs = [(at, slot) for at, h in enumerate(handles.tolist()) if (slot := self._slots.get(h)) is not None]
            both = np.array(pairs, np.int64).reshape(-1, 2)
            return both[:, 0], both[:, 1]
        order = np.argsort(self.delta_handles)
        ascending = self.delta_handles[order]
        places = ascending.searchsorted(handles)
        at = np.flatnonzero(ascending.take(places, mode="clip") == handles)
        return at, order[places[at]]

    def _add(self, handle: int) -> int:
        slot = len(self._slots)
        if slot == len(self._handles):
            # New arrays, never resized ones: a scan under way keeps the matrix that it began with.
            self._matrix = np.concatenate([self._matrix, np.zeros_like(self._matrix)])
            self._handles = np.concatenate([self._handles, np.zeros_like(self._handles)])
            self._present = np.concatenate([self._present, np.zeros_like(self._present)])
            self._changed = np.concatenate([self._changed, np.zeros_like(self._changed)])
        self._slots[handle] = slot
        self._handles[slot] = handle
        return slot
