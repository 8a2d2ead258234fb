"""What has changed in many users' histories since the generation, as arrays."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["ChangedRows"]


@dataclass(frozen=True, slots=True, eq=False)
class ChangedRows:
    """Users' changed pairs as compressed sparse rows: what `oryx_py.model.pair_delta` holds.

    ``users`` int64[m]: handles, ascending, none twice. Row ``i`` has the pairs ``indptr[i]`` … ``indptr[i + 1] - 1``
    (int64[m + 1], from 0), in the order in which they first changed, no item twice. ``items`` int32[p]: handles.
    ``strengths`` float64[p]: folded, NaN where the generation has the pair and it is no longer known.
    """

    users: NDArray[np.int64]
    indptr: NDArray[np.int64]
    items: NDArray[np.int32]
    strengths: NDArray[np.float64]

    @classmethod
    def none(cls) -> Self:
        """Return the changes of nobody."""
        return cls(np.empty(0, np.int64), np.zeros(1, np.int64), np.empty(0, np.int32), np.empty(0, np.float64))

    @property
    def known(self) -> NDArray[np.bool_]:
        """bool[p]: which pairs are known."""
        return ~np.isnan(self.strengths)

    def row(self, user: int) -> int:
        """Return the row of a user, -1 where nothing has changed."""
        if not len(self.users):
            return -1
        at = int(self.users.searchsorted(user))
        return at if at < len(self.users) and self.users[at] == user else -1

    def place(self, user: int, item: int) -> int:
        """Return the position of a pair, -1 where it has not changed."""
        row = self.row(user)
        if row < 0:
            return -1
        found = np.flatnonzero(self.pairs(row)[0] == item)
        return int(self.indptr[row] + found[0]) if len(found) else -1

    def pairs(self, row: int) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Return the items and strengths of a row: views."""
        start, end = self.indptr[row], self.indptr[row + 1]
        return self.items[start:end], self.strengths[start:end]

    def user_of_pairs(self) -> NDArray[np.int64]:
        """Return int64[p]: the user of each pair."""
        return np.repeat(self.users, np.diff(self.indptr))

    def knowing(self, item: int) -> Iterator[int]:
        """Iterate over the users who know an item; goes through all pairs."""
        found = np.flatnonzero(self.items == item)
        for at in found[self.known[found]].tolist():
            yield int(self.users[self.indptr.searchsorted(at, "right") - 1])

    def over(self, earlier: "ChangedRows") -> "ChangedRows":
        """Return these rows, and of all other users the ``earlier`` ones."""
        rest = np.flatnonzero(~np.isin(earlier.users, self.users, assume_unique=True))
        if not len(rest):
            return self
        lengths = np.diff(earlier.indptr)[rest]
        taken = np.repeat(earlier.indptr[rest] - (np.cumsum(lengths) - lengths), lengths) + np.arange(lengths.sum())
        users = np.concatenate([self.users, earlier.users[rest]])
        return _sorted(
            users,
            np.concatenate([np.diff(self.indptr), lengths]),
            np.concatenate([self.items, earlier.items[taken]]),
            np.concatenate([self.strengths, earlier.strengths[taken]]),
        )

    def fault(self, users: int, items: int) -> str | None:
        """Say what is wrong with the arrays, where there are so many handles of each side; None where nothing is."""
        if not _ascends(self.users, users):
            return "users do not ascend, or are no handles"
        if not (len(self.indptr) == len(self.users) + 1 and self.indptr[0] == 0 and (np.diff(self.indptr) >= 0).all()):
            return "indptr does not ascend from 0"
        if not self.indptr[-1] == len(self.items) == len(self.strengths):
            return "indptr does not end with the pairs"
        if len(self.items) and not (self.items.min() >= 0 and self.items.max() < items):
            return "items are no handles"
        return "strengths are infinite" if np.isinf(self.strengths).any() else None


def _ascends(handles: NDArray[np.int64], count: int) -> bool:
    return not len(handles) or bool(handles[0] >= 0 and handles[-1] < count and (np.diff(handles) > 0).all())


def _sorted(
    users: NDArray[np.int64], lengths: NDArray[np.int64], items: NDArray[np.int32], strengths: NDArray[np.float64]
) -> ChangedRows:
    """Return rows, which lie one after the other, by ascending user."""
    order = np.argsort(users)
    starts = np.cumsum(lengths) - lengths
    lengths = lengths[order]
    indptr = np.zeros(len(order) + 1, np.int64)
    np.cumsum(lengths, out=indptr[1:])
    taken = np.repeat(starts[order] - indptr[:-1], lengths) + np.arange(indptr[-1])
    return ChangedRows(users[order], indptr, items[taken], strengths[taken])
