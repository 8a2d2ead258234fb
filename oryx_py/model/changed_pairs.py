"""What has changed in one user's history since the generation."""

from __future__ import annotations

from array import array
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["ChangedPairs"]

_NOT_KNOWN: Final = float("nan")
"""In a strength's place; strengths are finite."""
_FEW: Final = 32
"""Dropped pairs that are kept in the arrays whatever their share."""


class ChangedPairs:
    """Items by handle, each with its strength or as no longer known, in the order in which they first changed.

    In arrays that grow at their end: the whole is read without a step for each item, and a change takes a constant
    time, also of a user with a hundred thousand items.
    """

    __slots__ = ("_at", "_dropped", "_items", "_replaced", "_strengths")

    def __init__(self) -> None:
        self._at: dict[int, int] = {}
        self._items = array("q")
        self._strengths = array("d")
        self._replaced = array("q")
        self._dropped = 0

    @classmethod
    def of(cls, items: NDArray[np.int32], strengths: NDArray[np.float64], row: NDArray[np.int32]) -> Self:
        """Return changes that were `columns` before; ``row`` int32[n], ascending: the items of the generation's row."""
        pairs = cls()
        pairs._at = dict(zip(items.tolist(), range(len(items)), strict=True))
        pairs._items = array("q", items.astype(np.int64).tobytes())
        pairs._strengths = array("d", strengths.tobytes())
        if len(row):
            places = row.searchsorted(items)
            pairs._replaced = array("q", places[row.take(places, mode="clip") == items].astype(np.int64).tobytes())
        return pairs

    def columns(self) -> tuple[array[int], array[float]]:
        """Return the items and their strengths, NaN for what is no longer known; not for changing."""
        if self._dropped:
            self._close_up()
        return self._items, self._strengths

    def __contains__(self, item: int) -> bool:
        return item in self._at

    def strength(self, item: int) -> float | None:
        """Return the strength of an item that changed, None where it is no longer known."""
        strength = self._strengths[self._at[item]]
        return None if strength != strength else strength  # NaN

    def set(self, item: int, strength: float | None, row_at: int) -> None:
        """Set a strength, None to make the item unknown.

        ``row_at`` is the item's place in the generation's row, below 0 where it has none; it is the same every time.
        """
        value = _NOT_KNOWN if strength is None else strength
        at = self._at.get(item)
        if at is not None:
            self._strengths[at] = value
            return
        self._at[item] = len(self._items)
        self._items.append(item)
        self._strengths.append(value)
        if row_at >= 0:
            self._replaced.append(row_at)

    def drop(self, item: int) -> None:
        """Take out an item that is not in the generation's row, as if it had never been known."""
        self._strengths[self._at.pop(item)] = _NOT_KNOWN
        self._dropped += 1
        if self._dropped > max(_FEW, len(self._at)):
            self._close_up()

    def applied(
        self, items: NDArray[np.int32], strengths: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the generation's row with the changes applied: what it still says, and then what has changed."""
        kept = np.ones(len(items), np.bool_)
        kept[np.frombuffer(self._replaced, np.int64)] = False
        changed = np.frombuffer(self._strengths, np.float64)
        known = ~np.isnan(changed)
        return (
            np.concatenate([items[kept].astype(np.int64), np.frombuffer(self._items, np.int64)[known]]),
            np.concatenate([strengths[kept], changed[known]]),
        )

    def _close_up(self) -> None:
        places = list(self._at.values())
        self._at = dict(zip(self._at, range(len(places)), strict=True))
        self._items = array("q", [self._items[at] for at in places])
        self._strengths = array("d", [self._strengths[at] for at in places])
        self._dropped = 0
