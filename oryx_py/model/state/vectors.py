"""Vectors by handle: the generation's matrix below, and what changed since above it."""

import numpy as np
from numpy.typing import NDArray

from oryx_py.errors import BadMessage
from oryx_py.model.state.changes import VectorChanges
from oryx_py.model.state.growing_rows import GrowingRows

__all__ = ["VectorTable"]

Matrix = NDArray[np.float32]
Handles = NDArray[np.int64]


_FEW = 8
"""Handles that are gathered sooner one by one."""


class VectorTable:
    """A generation's factors, read-only, with a delta of new, moved and removed vectors over them.

    The delta stands in one contiguous matrix, so that it can be scanned as it is, and gathered from at once. A handle
    once in the delta keeps its slot until the epoch ends. No change copies more than some rows for each handle, however
    many there are. Owned by one `ModelState`; not safe for use by several threads.

    Args:
        base: float32[n, k], the generation's factors; row r is the vector of handle r.
    """

    def __init__(self, base: Matrix) -> None:
        self.base = base
        self.version = 0
        """Rises with every change."""
        self._reached = len(base)
        # Pages never written take no memory, and new handles come: as many as there are, before anything is copied.
        self._of_handles = GrowingRows(np.zeros(2 * len(base) + _FEW, np.int32))
        self._used = 0
        self._rows = GrowingRows(
            np.zeros((_FEW, base.shape[1]), np.float32),
            np.zeros(_FEW, np.int64),
            np.zeros(_FEW, np.bool_),
            np.zeros(_FEW, np.int64),
        )
        self._take_arrays()

    def _take_arrays(self) -> None:
        (self._slots,) = self._of_handles.arrays  # by handle, plus 1; 0 for none
        self._matrix, self._handles, self._present, self._changed = self._rows.arrays

    @property
    def features(self) -> int:
        """The length k of every vector."""
        return int(self.base.shape[1])

    @property
    def delta_handles(self) -> Handles:
        """int64[m]: the handles whose vector is not the base's: new, moved or removed ones."""
        return self._handles[: self._used]

    @property
    def delta_matrix(self) -> Matrix:
        """float32[m, k]: their vectors, zeros where removed; a view that the next change may alter."""
        return self._matrix[: self._used]

    @property
    def delta_present(self) -> NDArray[np.bool_]:
        """bool[m]: which of them have a vector at all."""
        return self._present[: self._used]

    def changed_since(self, version: int) -> Handles:
        """Return int64[c]: the handles whose vector was set or removed since this was the `version`; in no order."""
        if version == self.version:
            return np.empty(0, np.int64)
        return self.delta_handles[self._changed[: self._used] > version]

    @property
    def nbytes(self) -> int:
        """Bytes that this holds beside the generation's file."""
        return self._slots[: self._reached].nbytes + self._rows.nbytes

    @property
    def rows_copied(self) -> int:
        """Rows of the delta that were copied so far, to where there is room for more."""
        return self._rows.copied

    def masked(self, row: int) -> bool:
        """Say whether a row of the base is replaced by the delta."""
        return self._slot(row) >= 0

    def get(self, handle: int) -> Matrix | None:
        """Return a copy-free float32[k] view of a handle's vector, None where it has none."""
        slot = self._slot(handle)
        if slot >= 0:
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
        slot = self._slot(handle)
        if slot < 0:
            if vector is None and handle >= len(self.base):
                return
            slot = self._add(handle)
        self._matrix[slot] = 0 if vector is None else vector
        self._present[slot] = vector is not None
        self.version += 1
        self._changed[slot] = self.version
        self._rows.wrote(slot)

    def set_many(self, handles: Handles, vectors: Matrix) -> None:
        """Replace the vectors of handles int64[n], none twice, by the rows of float32[n, k].

        Raises:
            BadMessage: the vectors have another length than the generation's.
        """
        if vectors.ndim != 2 or vectors.shape[1] != self.features:
            raise BadMessage(f"vectors of shape {vectors.shape} where the generation has {self.features} features")
        if not len(handles):
            return
        self._reach(int(handles.max()) + 1)
        new = handles[self._slots[handles] == 0]
        first = self._used
        self._make_room(first + len(new))
        self._slots[new] = np.arange(first + 1, first + 1 + len(new), dtype=np.int32)
        self._of_handles.wrote_many(new)
        self._handles[first : first + len(new)] = new
        self._used = first + len(new)
        slots = self._slots[handles] - 1
        self._matrix[slots] = vectors
        self._present[slots] = True
        self.version += len(handles)
        self._changed[slots] = self.version
        self._rows.wrote_many(slots)

    def dump(self) -> VectorChanges:
        """Return the delta, in arrays of its own."""
        return VectorChanges(self.delta_handles.copy(), self.delta_matrix.copy(), self.delta_present.copy())

    def load(self, changes: VectorChanges) -> None:
        """Take over the delta of another table of the same base; nothing may have been set here before."""
        assert not self._used
        self.set_many(changes.handles, np.asarray(changes.matrix))
        self._present[: self._used] = changes.present
        self._rows.wrote_many(np.arange(self._used))

    def _slot(self, handle: int) -> int:
        return int(self._slots[handle]) - 1 if 0 <= handle < len(self._slots) else -1

    def _moved(self, handles: Handles) -> tuple[Handles, Handles]:
        """Return the positions of those handles that the delta has, and the slot of each; both int64[d]."""
        if not self._used or not len(self._slots):
            return np.empty(0, np.int64), np.empty(0, np.int64)
        slots = self._slots.take(handles, mode="clip").astype(np.int64) - 1
        at = np.flatnonzero((slots >= 0) & (handles >= 0) & (handles < len(self._slots)))
        return at, slots[at]

    def _add(self, handle: int) -> int:
        self._reach(handle + 1)
        slot = self._used
        self._make_room(slot + 1)
        self._used += 1
        self._slots[handle] = slot + 1
        self._of_handles.wrote(handle)
        self._handles[slot] = handle
        return slot

    def _reach(self, handles: int) -> None:
        if handles > self._reached:
            if self._of_handles.reach(self._reached, handles):
                self._take_arrays()
            self._reached = handles

    def _make_room(self, slots: int) -> None:
        if self._rows.reach(self._used, slots):
            self._take_arrays()
