"""Who knows what: the generation's folded histories, and what changed since."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from oryx_py.model.state.changed_rows import ChangedRows
from oryx_py.model.state.pair_delta import PairDelta, SomePairs
from oryx_py.numerics.pairs.pair_table import Base

__all__ = ["Histories", "HistoryChanges", "Rows"]

_NOT_KNOWN = float("nan")


class Rows(Protocol):
    """Compressed sparse rows (`oryx_py.model.generations.generation.Csr`)."""

    @property
    def indptr(self) -> NDArray[np.int64]:
        """int64[rows + 1]."""
        ...

    @property
    def indices(self) -> NDArray[np.int32]:
        """int32[pairs], ascending within a row."""
        ...

    @property
    def strengths(self) -> NDArray[np.float64]:
        """float64[pairs]."""
        ...

    def row(self, i: int) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Return the column numbers, ascending, and the strengths of a row."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class HistoryChanges:
    """All in which `Histories` differ from the generation's.

    ``rows``: the pairs. ``forgotten`` int64[f]: users of whom the generation's pairs do not count.
    """

    rows: ChangedRows
    forgotten: NDArray[np.int64]


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
        self._delta = PairDelta(Base(users.indptr, users.indices, users.strengths), np.diff(items.indptr))
        self.version = 0
        """Rises with every change of a count."""

    @property
    def nbytes(self) -> int:
        """Bytes that this holds beside the generation's files."""
        return self._delta.nbytes

    def of_user(self, user: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return int64[n] item handles and float64[n] folded strengths; empty for an unknown user."""
        if self._delta.touched(user):
            _, items, strengths = self._delta.gather(np.array([user], np.int64))
            return items, strengths
        if user >= self._base_users:
            return np.empty(0, np.int64), np.empty(0, np.float64)
        row, strengths = self._users.row(user)
        return row.astype(np.int64), np.asarray(strengths)

    def gather(self, users: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """Return many users' histories as rows: int64[n + 1] starts, int64[pairs] items, float64[pairs] strengths."""
        return self._delta.gather(users)

    def split(self, users: NDArray[np.int64], count: int, excepted: NDArray[np.int64]) -> tuple[SomePairs, SomePairs]:
        """Return many users' pairs with items below ``count``, but for the ascending ``excepted``, and all others."""
        return self._delta.split(users, count, excepted)

    def strength(self, user: int, item: int) -> float | None:
        """Return a pair's folded strength, None where it is not known."""
        found = float(self._delta.strengths(np.array([user], np.int64), np.array([item], np.int64))[0])
        return None if found != found else found  # NaN

    def strengths(self, users: NDArray[np.int64], items: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return float64[n], the pairs' folded strengths, NaN where they are not known."""
        return self._delta.strengths(users, items)

    def put(self, user: int, item: int, strength: float) -> None:
        """Set a pair's folded strength."""
        self.put_many(np.array([user], np.int64), np.array([item], np.int64), np.array([strength]))

    def remove(self, user: int, item: int) -> None:
        """Make a pair unknown; nothing happens where it is."""
        self.put(user, item, _NOT_KNOWN)

    def put_many(self, users: NDArray[np.int64], items: NDArray[np.int64], strengths: NDArray[np.float64]) -> None:
        """Set pairs one after the other; a strength of NaN makes the pair unknown."""
        self._delta.put(users, items, strengths)
        self.version += 1

    def forget_user(self, user: int) -> None:
        """Make all of a user's pairs unknown."""
        self._delta.forget(user)
        self.version += 1

    def users_of(self, item: int) -> NDArray[np.int64]:
        """Return int64[n], ascending: the users who know an item; may go through everything that changed, so be rare.

        What nobody knows, or only those whose pair is the generation's, is found at once.
        """
        known = int(self._delta.popularity(item + 1)[item])
        if not known:
            return _NOBODY
        base = self._items.row(item)[0].astype(np.int64) if item < len(self._items.indptr) - 1 else _NOBODY
        if len(base):
            base = base[~np.isnan(self._delta.strengths(base, np.full(len(base), item, np.int64)))]
        if len(base) == known:
            return base
        return np.union1d(base, self._delta.holders(item, known))

    def changed(self) -> list[int]:
        """Return the handles of users of whom something has changed; in no order."""
        found: list[int] = self._delta.changed().tolist()
        return found

    def forgotten(self) -> NDArray[np.int64]:
        """Return int64[f], ascending: the users who were forgotten, of whom the generation's pairs do not count."""
        return self._delta.cleared()

    def rows(self) -> ChangedRows:
        """Return all changed pairs, as arrays that no later change alters."""
        pair_users, items, strengths = self._delta.entries()
        users, counts = np.unique(pair_users, return_counts=True)
        indptr = np.zeros(len(users) + 1, np.int64)
        np.cumsum(counts, out=indptr[1:])
        return ChangedRows(users, indptr, items.astype(np.int32), strengths)

    def dump(self) -> HistoryChanges:
        """Return all in which these histories differ from the generation's."""
        return HistoryChanges(self.rows(), self.forgotten())

    def load(self, changes: HistoryChanges) -> None:
        """Take over what another `Histories` of the same generation dumped; nothing may have changed here before."""
        assert not self.changed()
        for user in changes.forgotten.tolist():
            self._delta.forget(user)
        self._delta.load(changes.rows)
        self.version += 1

    def added(self, user: int) -> NDArray[np.int64]:
        """Return int64[n]: the items that a user knows, and did not in the generation; ascending."""
        base = np.empty(0, np.int32) if user >= self._base_users else self._users.row(user)[0]
        return np.setdiff1d(self.of_user(user)[0], base)

    def popularity(self, items: int) -> NDArray[np.int64]:
        """Return int64[items]: by item handle, the users who know it; a view that the next change may alter."""
        return self._delta.popularity(items)

    def activity(self, users: int) -> NDArray[np.int64]:
        """Return int64[users]: by user handle, the items known; a view that the next change may alter."""
        return self._delta.activity(users)


_NOBODY = np.empty(0, np.int64)
