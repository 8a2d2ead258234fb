"""Interactions as columns, and what is cut from them user by user."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["SWEPT", "WHOLE_USER", "Cut", "Rows", "by_user"]

Handles = NDArray[np.int64]

WHOLE_USER = -1
"""In an item's place: the user is forgotten."""
SWEPT = -2
"""In a time's place: an item that the user knows is forgotten, and he has done nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """n interactions as columns, in the order of arrival.

    Attributes:
        users: int64[n] handles.
        items: int64[n] handles; `WHOLE_USER` where a user is forgotten.
        strengths: float64[n]; NaN where the pair goes.
        offsets: int64[n], of the records.
        times_ms: int64[n], Kafka's, -1 for none; `SWEPT` where the user has done nothing.
        partitions: int64[n], of the input.
    """

    users: Handles
    items: Handles
    strengths: NDArray[np.float64]
    offsets: Handles
    times_ms: Handles
    partitions: Handles

    def __len__(self) -> int:
        return len(self.users)

    @property
    def columns(self) -> tuple[NDArray[Any], ...]:
        """All of them, as the constructor takes them."""
        return self.users, self.items, self.strengths, self.offsets, self.times_ms, self.partitions

    def where(self, chosen: Any) -> "Rows":
        """Return those that a mask, a slice or places choose."""
        return Rows(*(column[chosen] for column in self.columns))


def _together(parts: Sequence[Rows]) -> Rows:
    columns: list[NDArray[Any]] = [np.concatenate(same) for same in zip(*(rows.columns for rows in parts), strict=True)]
    return Rows(*columns)


_NONE = np.empty(0, np.int64)
_NO_ROWS = Rows(_NONE, _NONE, np.empty(0, np.float64), _NONE, _NONE, _NONE)


def by_user(parts: Sequence[Rows]) -> Rows:
    """Return the rows by user, each one's in the order of arrival."""
    rows = _together(parts)
    return rows.where(np.argsort(rows.users, kind="stable"))


class Cut:
    """Rows by user, cut into slices from the front; where each user begins is looked up once for all of them."""

    def __init__(self, rows: Rows = _NO_ROWS) -> None:
        self._rows = rows
        self._begins = np.append(np.flatnonzero(np.diff(rows.users, prepend=-1)), len(rows))
        self._next = 0

    def __len__(self) -> int:
        return len(self._rows) - int(self._begins[self._next])

    @property
    def rows(self) -> Rows:
        """All of them, also those that were taken."""
        return self._rows

    @property
    def first(self) -> int:
        """The first user whose rows were not taken."""
        return int(self._rows.users[self._begins[self._next]])

    @property
    def rest(self) -> Rows:
        """Those that were not taken."""
        return self._rows.where(slice(int(self._begins[self._next]), None))

    def take(self, max_users: int, max_rows: int | None) -> Rows:
        """Return the next users' rows: of so many users, and with so many rows together, but of one at least."""
        begin, to = int(self._begins[self._next]), min(self._next + max_users, len(self._begins) - 1)
        if max_rows is not None:
            fits = int(np.searchsorted(self._begins, begin + max_rows, "right")) - 1
            to = min(to, max(fits, self._next + 1))
        rows = self._rows.where(slice(begin, int(self._begins[to])))
        self._next = to
        return rows if len(self) else self._let_go(rows)

    def _let_go(self, last: Rows) -> Rows:
        self._rows, self._begins, self._next = _NO_ROWS, np.zeros(1, np.int64), 0
        return last
