"""The vectors of one side while they come in: by handle in the order of arrival, later by row in the order of IDs."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Rows", "Sorted"]


class Sorted(NamedTuple):
    """Those that have a vector.

    ``names`` ascend bytewise; ``vectors`` float32[n, k], C-contiguous; ``row_of`` int64[handles], -1 for none.
    """

    names: list[str]
    vectors: NDArray[np.float32]
    row_of: NDArray[np.int64]


class Rows:
    """Vectors by ID, some of which were announced.

    Args:
        announced: IDs whose vectors are to come; the first handles are theirs. One that stands there twice counts once.
        features: the length k of a vector.
    """

    def __init__(self, announced: Sequence[str], features: int) -> None:
        self._handles = {name: handle for handle, name in enumerate(dict.fromkeys(announced))}
        self.names = list(self._handles)
        self.announced = len(self.names)
        self.loaded = 0
        """How many of those announced have a vector."""
        self.told = 0
        """Of how many of them `tell` was told."""
        self._vectors = np.zeros((self.announced, features), np.float32)
        self._present = np.zeros(self.announced, np.bool_)
        self._told = np.zeros(self.announced, np.bool_)

    def intern(self, name: str) -> int:
        """Return the handle of an ID, a new one where there was none."""
        handle = self._handles.get(name)
        if handle is None:
            handle = self._handles[name] = len(self.names)
            self.names.append(name)
        return handle

    def announced_handle(self, name: str) -> int:
        """Return the handle of an ID that was announced, -1 for any other."""
        handle = self._handles.get(name, -1)
        return handle if handle < self.announced else -1

    def set(self, name: str, vector: NDArray[np.float32] | None) -> int:
        """Take a vector float32[k], None for none any more; returns the handle."""
        handle = self.intern(name)
        if handle >= len(self._present):
            self._grow()
        if handle < self.announced:
            self.loaded += (vector is not None) - bool(self._present[handle])
        self._vectors[handle] = 0 if vector is None else vector
        self._present[handle] = vector is not None
        return handle

    def tell(self, name: str, vector: NDArray[np.float32] | None) -> int:
        """Take a vector as `set` does, from an update."""
        handle = self.set(name, vector)
        if handle < self.announced and not self._told[handle]:
            self._told[handle] = True
            self.told += 1
        return handle

    def sorted(self) -> Sorted:
        """Return those that have a vector, as copies."""
        handles = sorted(np.flatnonzero(self._present).tolist(), key=self.names.__getitem__)
        row_of = np.full(len(self.names), -1, np.int64)
        row_of[handles] = np.arange(len(handles))
        return Sorted([self.names[handle] for handle in handles], self._vectors[handles], row_of)

    def _grow(self) -> None:
        more = max(len(self.names), 2 * len(self._present), 8) - len(self._present)
        self._vectors = np.concatenate([self._vectors, np.zeros((more, self._vectors.shape[1]), np.float32)])
        self._present = np.concatenate([self._present, np.zeros(more, np.bool_)])
