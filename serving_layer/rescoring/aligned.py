"""What a plug-in knows of each ID, as an array beside the generation's rows."""

import threading
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from serving_layer.rescoring.candidates import Candidates

__all__ = ["Aligned"]

_CHUNK: Final = 65_536
_KEPT: Final = 4
"""Generations' arrays: of items and users, of the one served and the one before."""


class Aligned:
    """Values of candidates, made once for each generation and then only picked out; any thread may ask.

    A million items cost the first query after a new generation what ``make`` takes for them, every further one some
    milliseconds.

    Args:
        make: from IDs to as many values; anything that NumPy makes an array of, of the same dtype every time.
    """

    def __init__(self, make: Callable[[Sequence[str]], Any]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._arrays: dict[tuple[str, str], NDArray[Any]] = {}

    def __call__(self, candidates: Candidates) -> NDArray[Any]:
        """Return the candidates' values."""
        values = self._of_rows(candidates)[candidates.rows]
        new = np.flatnonzero(candidates.rows < 0)
        if len(new):
            values[new] = np.asarray(self._make(list(candidates.take(new))), values.dtype)
        return values

    def _of_rows(self, candidates: Candidates) -> NDArray[Any]:
        key = (candidates.generation, candidates.kind)
        with self._lock:  # so that several queries wait for one array, not each for its own
            found = self._arrays.pop(key, None)
            if found is None:
                table = candidates.table
                starts = range(0, len(table), _CHUNK)
                found = np.concatenate(
                    [np.asarray(self._make(table.ids(np.arange(at, min(at + _CHUNK, len(table)))))) for at in starts]
                )
                if len(found) != len(table):
                    raise ValueError(f"{len(found)} values were made for {len(table)} IDs")
            self._arrays[key] = found  # as the newest
            while len(self._arrays) > _KEPT:
                del self._arrays[next(iter(self._arrays))]
            return found
