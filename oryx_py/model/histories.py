"""Who knows what: the generation's folded histories, and what changed since."""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from oryx_py.model.changed_pairs import ChangedPairs
from oryx_py.model.changed_rows import ChangedRows

__all__ = ["Histories", "HistoryChanges", "Rows"]


class Rows(Protocol):
    """Compressed sparse rows (`oryx_py.model.generation.Csr`)."""

    @property
    def indptr(self) -> NDArray[np.int64]:
        """int64[rows + 1]."""
        ...

    def row(self, i: int) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Return the column numbers, ascending, and the strengths of a row."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class HistoryChanges:
    """All in which `Histories` differ from the generation's.

    ``rows``: the pairs. ``forgotten`` int64[f]: users of whom the generation's pairs do not count. ``activity`` and
    ``popularity``: handles int64[n], of users and of items, and by how much their counts differ, int64[n].
    """

    rows: ChangedRows
    forgotten: NDArray[np.int64]
    activity: tuple[NDArray[np.int64], NDArray[np.int64]]
    popularity: tuple[NDArray[np.int64], NDArray[np.int64]]


class Histories:
    """The folded strength of every known pair of user and item, by handle.

    A pair is known when its folded state is not "nothing", whatever the strength's sign. Only differences from the
    generation are held, so that memory grows with what came since. Owned by one `ModelState`; not safe for threads.

    Args:
        users: the generation's histories of users (columns are item rows).
        items: the same of items (columns are user rows).
    """

    def __init__(self, users: Rows, items: Rows) -> None:
        self._users = users
        self._items = items
        self._base_users = len(users.indptr) - 1
        self._earlier = ChangedRows.none()
        self._changes: dict[int, ChangedPairs] = {}
        self._forgotten: set[int] = set()
        self._popularity = np.diff(items.indptr).astype(np.int64)
        self._activity = np.diff(users.indptr).astype(np.int64)
        self.version = 0
        """Rises with every change of a count."""

    def of_user(self, user: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return int64[n] item handles and float64[n] folded strengths; empty for an unknown user."""
        items, strengths = self._base_row(user)
        changes = self._changes.get(user)
        if changes is None:
            changes = self._from_earlier(user)
        if changes is None:
            return items.astype(np.int64), np.asarray(strengths)
        return changes.applied(items, strengths)

    def strength(self, user: int, item: int) -> float | None:
        """Return a pair's folded strength, None where it is not known."""
        changes = self._changes.get(user)
        if changes is None:
            at = self._earlier.place(user, item)
            if at >= 0:
                strength = float(self._earlier.strengths[at])
                return None if strength != strength else strength  # NaN
        elif item in changes:
            return changes.strength(item)
        items, strengths = self._base_row(user)
        at = _place(items, item)
        return float(strengths[at]) if at >= 0 else None

    def put(self, user: int, item: int, strength: float) -> None:
        """Set a pair's folded strength."""
        if self.strength(user, item) is None:
            self._count(user, item, 1)
        self._set(user, item, strength)

    def remove(self, user: int, item: int) -> None:
        """Make a pair unknown; nothing happens where it is."""
        if self.strength(user, item) is None:
            return
        self._count(user, item, -1)
        changes = self._changes_to(user)
        if _place(self._base_row(user)[0], item) < 0:
            changes.drop(item)
        else:
            self._set(user, item, None)

    def forget_user(self, user: int) -> None:
        """Make all of a user's pairs unknown."""
        for item in self.of_user(user)[0].tolist():
            self.remove(user, item)
        self._changes[user] = ChangedPairs()
        self._forgotten.add(user)

    def users_of(self, item: int) -> Iterator[int]:
        """Iterate over the users who know an item; goes through everything that changed, so for rare use."""
        base = self._items.row(item)[0].tolist() if item < len(self._items.indptr) - 1 else []
        for user in base:
            if self.strength(user, item) is not None:
                yield user
        already = set(base)
        yield from [user for user in self._earlier.knowing(item) if user not in already and user not in self._changes]
        for user, changes in self._changes.items():
            if user not in already and item in changes and changes.strength(item) is not None:
                yield user

    def changed(self) -> list[int]:
        """Return the handles of users of whom something has changed; in no order."""
        return [*self._changes, *(user for user in self._earlier.users.tolist() if user not in self._changes)]

    def forgotten(self) -> NDArray[np.int64]:
        """Return int64[f], ascending: the users who were forgotten, of whom the generation's pairs do not count."""
        return np.array(sorted(self._forgotten), np.int64)

    def rows(self) -> ChangedRows:
        """Return all changed pairs, as arrays that no later change alters."""
        users = np.array(sorted(self._changes), np.int64)
        items, strengths, lengths = array("q"), array("d"), array("q")
        for user in users.tolist():
            of_user, with_strengths = self._changes[user].columns()
            items.extend(of_user)
            strengths.extend(with_strengths)
            lengths.append(len(of_user))
        indptr = np.zeros(len(users) + 1, np.int64)
        np.cumsum(np.frombuffer(lengths, np.int64), out=indptr[1:])
        touched = ChangedRows(
            users, indptr, np.frombuffer(items, np.int64).astype(np.int32), np.frombuffer(strengths, np.float64)
        )
        return touched.over(self._earlier)

    def dump(self) -> HistoryChanges:
        """Return all in which these histories differ from the generation's."""
        return HistoryChanges(
            rows=self.rows(),
            forgotten=self.forgotten(),
            activity=_difference(self._activity, self._users),
            popularity=_difference(self._popularity, self._items),
        )

    def load(self, changes: HistoryChanges) -> None:
        """Take over what another `Histories` of the same generation dumped; nothing may have changed here before.

        Its arrays are used as they are, mapped ones too.
        """
        assert not self._changes
        assert not len(self._earlier.users)
        self._earlier = changes.rows
        self._forgotten.update(changes.forgotten.tolist())
        self._activity = _with_difference(self._activity, *changes.activity)
        self._popularity = _with_difference(self._popularity, *changes.popularity)
        self.version += 1

    def added(self, user: int) -> NDArray[np.int64]:
        """Return int64[n]: the items that a user knows, and did not in the generation; ascending."""
        base = np.empty(0, np.int32) if user >= self._base_users else self._users.row(user)[0]
        return np.setdiff1d(self.of_user(user)[0], base)

    def popularity(self, items: int) -> NDArray[np.int64]:
        """Return int64[items]: by item handle, the users who know it; a view that the next change may alter."""
        self._popularity = _grown(self._popularity, items)
        return self._popularity[:items]

    def activity(self, users: int) -> NDArray[np.int64]:
        """Return int64[users]: by user handle, the items known; a view that the next change may alter."""
        self._activity = _grown(self._activity, users)
        return self._activity[:users]

    def _from_earlier(self, user: int) -> ChangedPairs | None:
        row = self._earlier.row(user)
        return ChangedPairs.of(*self._earlier.pairs(row), self._base_row(user)[0]) if row >= 0 else None

    def _changes_to(self, user: int) -> ChangedPairs:
        """Return what may be altered of a user."""
        changes = self._changes.get(user)
        if changes is None:
            changes = self._from_earlier(user)
            changes = self._changes[user] = ChangedPairs() if changes is None else changes
        return changes

    def _base_row(self, user: int) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        if user >= self._base_users or user in self._forgotten:
            return np.empty(0, np.int32), np.empty(0, np.float64)
        return self._users.row(user)

    def _set(self, user: int, item: int, strength: float | None) -> None:
        self._changes_to(user).set(item, strength, _place(self._base_row(user)[0], item))

    def _count(self, user: int, item: int, by: int) -> None:
        self._popularity = _grown(self._popularity, item + 1)
        self._activity = _grown(self._activity, user + 1)
        self._popularity[item] += by
        self._activity[user] += by
        self.version += 1


def _place(items: NDArray[np.int32], item: int) -> int:
    """Return where an item is in a row, -1 where it is not."""
    # As the row's own type: for another one the search would first copy the row.
    at = int(items.searchsorted(items.dtype.type(item)))
    return at if at < len(items) and items[at] == item else -1


def _grown(counts: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    if size <= len(counts):
        return counts
    return np.concatenate([counts, np.zeros(max(size, 2 * len(counts)) - len(counts), np.int64)])


def _difference(counts: NDArray[np.int64], of: Rows) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the handles whose count is not the generation's, and by how much."""
    differences = counts.copy()
    differences[: len(of.indptr) - 1] -= np.diff(of.indptr)
    handles = np.flatnonzero(differences)
    return handles, differences[handles]


def _with_difference(
    counts: NDArray[np.int64], handles: NDArray[np.int64], differences: NDArray[np.int64]
) -> NDArray[np.int64]:
    counts = _grown(counts, int(handles.max()) + 1 if len(handles) else 0)
    counts[handles] += differences
    return counts
