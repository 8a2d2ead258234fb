"""What has changed in the pairs of users and items since the generation, in arrays."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from oryx_py.model.state.changed_rows import ChangedRows
from oryx_py.numerics.pairs import pair_table
from oryx_py.numerics.pairs.pair_split import split
from oryx_py.numerics.pairs.pair_table import Base, Table

__all__ = ["PairDelta", "SomePairs", "compile_steps"]

Handles = NDArray[np.int64]
Strengths = NDArray[np.float64]
SomePairs = tuple[Handles, NDArray[np.int32], Strengths]
"""Pairs as rows: int64[n + 1], int32[pairs] items, float64[pairs] strengths."""

_FIRST = 64


class PairDelta:
    """Folded strengths by user and item over a generation's rows; only differences are held.

    A change takes a constant time, whatever the length of the history, and so does each step of the bulk forms. Owned
    by one `Histories`.

    Args:
        base: the generation's histories of users: indptr, indices, strengths.
        popularity: int64[items], by item the users who know it.
    """

    def __init__(self, base: Base, popularity: Handles) -> None:
        self.base = Base(_fixed(base.indptr, np.int64), _fixed(base.indices, np.int32), _fixed(base.strengths, float))
        self._table = Table(
            run_of=np.zeros(max(_FIRST, len(self.base.indptr) - 1), np.int32),
            runs=np.zeros((_FIRST, 5), np.int64),
            entries=np.empty((_FIRST, 2), np.int32),
            values=np.empty(_FIRST),
            keys=np.full(_FIRST, -1, np.int64),
            places=np.empty(_FIRST, np.int32),
            used=np.zeros(3, np.int64),
            row_counts=_grown(np.diff(self.base.indptr), _FIRST),
            item_counts=_grown(popularity.astype(np.int64), _FIRST),
        )
        self._replaced = np.zeros(int(self._table.row_counts.max()), np.bool_)
        """Scratch of the compiled steps."""

    @property
    def nbytes(self) -> int:
        """Bytes of what changed and of the counts."""
        return sum(array.nbytes for array in self._table)

    def touched(self, user: int) -> bool:
        """Say whether anything of a user differs, or did, from the generation."""
        return user < len(self._table.run_of) and bool(self._table.run_of[user])

    def strengths(self, users: Handles, items: Handles) -> Strengths:
        """Return float64[n], NaN where a pair is not known."""
        found = np.empty(len(users))
        pair_table.strengths_of(self.base, self._table, users, items, found)
        return found

    def put(self, users: Handles, items: Handles, strengths: Strengths) -> None:
        """Set strengths in this order, NaN for what is no longer known.

        Raises:
            ValueError: the three differ in length.
        """
        if not len(users) == len(items) == len(strengths):
            raise ValueError(f"{len(users)} users, {len(items)} items and {len(strengths)} strengths are no pairs")
        if not len(users):
            return
        self._reach(int(users.max()) + 1, int(items.max()) + 1)
        at = 0
        while (at := pair_table.put(self.base, self._table, users, items, strengths, at)) < len(users):
            self._make_room(int(users[at]))

    def load(self, rows: ChangedRows) -> None:
        """Take over changed pairs of users of whom nothing has changed here, but that they may have been forgotten."""
        if not len(rows.users):
            return
        items = _fixed(rows.items, np.int32)
        self._reach(int(rows.users.max()) + 1, int(items.max(initial=-1)) + 1)
        self._lay_out(rows.users, np.diff(rows.indptr))
        users, indptr = _fixed(rows.users, np.int64), _fixed(rows.indptr, np.int64)
        pair_table.load(self.base, self._table, users, indptr, items, _fixed(rows.strengths, float))

    def _lay_out(self, users: Handles, rooms: Handles) -> None:
        """Give each of these users a run at the pool's end that is empty and has so much room."""
        used = self._table.used
        self._grow_keys(int(used[pair_table.KEYS] + rooms.sum()))
        self._grow_pool(int(rooms.sum()))
        table = self._table
        new = users[table.run_of[users] == 0]
        first = int(used[pair_table.RUNS])
        table = self._table = table._replace(runs=_grown(table.runs, first + len(new)))
        table.runs[first : first + len(new)] = 0
        table.run_of[new] = first + 1 + np.arange(len(new))
        runs = table.run_of[users] - 1
        table.runs[runs, pair_table.START] = used[pair_table.POOL] + np.cumsum(rooms) - rooms
        table.runs[runs, pair_table.ROOM] = rooms
        used[pair_table.RUNS] += len(new)
        used[pair_table.POOL] += rooms.sum()

    def forget(self, user: int) -> None:
        """Make all of a user's pairs unknown; the generation's never come back by themselves."""
        self._reach(user + 1, 0)
        while not pair_table.forget(self.base, self._table, user):
            self._make_room(user)

    def gather(self, users: Handles) -> tuple[Handles, Handles, Strengths]:
        """Return the users' known pairs as rows: int64[n + 1], int64[pairs] items, float64[pairs] strengths."""
        (indptr, items, strengths), _ = self.split(users, np.iinfo(np.int64).max, np.empty(0, np.int64))
        return indptr, items.astype(np.int64), strengths

    def split(self, users: Handles, count: int, excepted: Handles) -> tuple[SomePairs, SomePairs]:
        """Return the users' known pairs in two parts: with items below ``count``, none of ``excepted``; and all others.

        The first are in the order of `gather`, the others in none.

        Args:
            users: int64[n].
            count: of items, the generation's at least.
            excepted: int64[e] items, ascending.
        """
        total = pair_table.measure(self._table, users)[-1]
        indptr, others = np.zeros(len(users) + 1, np.int64), np.zeros(len(users) + 1, np.int64)
        items, strengths = np.empty(total, np.int32), np.empty(total, np.float64)
        split(self.base, self._table, users, count, excepted, indptr, others, items, strengths, self._replaced)
        front = int(indptr[-1])
        return (indptr, items[:front], strengths[:front]), (others, items[front:][::-1], strengths[front:][::-1])

    def changed(self) -> Handles:
        """Return int64[n]: the users of whom something differs from the generation, ascending."""
        users: Handles = np.flatnonzero(self._table.run_of)
        runs = self._table.runs[self._table.run_of[users] - 1]
        differs = (runs[:, pair_table.LENGTH] > runs[:, pair_table.DROPPED]) | (runs[:, pair_table.CLEARED] > 0)
        chosen: Handles = users[differs]
        return chosen

    def entries(self) -> tuple[Handles, Handles, Strengths]:
        """Return every changed pair: int64[n] users, ascending, int64[n] items, float64[n] strengths, NaN for gone."""
        table = self._table
        users = self.changed()
        runs = table.runs[table.run_of[users] - 1]
        lengths = runs[:, pair_table.LENGTH]
        before = np.cumsum(lengths) - lengths
        places = np.arange(lengths.sum()) - np.repeat(before, lengths) + np.repeat(runs[:, pair_table.START], lengths)
        items = table.entries[places, 0]
        live = items >= 0
        return np.repeat(users, lengths)[live], items[live].astype(np.int64), table.values[places[live]]

    def holders(self, item: int, at_most: int) -> Handles:
        """Return int64[n], ascending: the users, that many at most, whose changed pair with an item is known.

        Goes through everything that has changed, as fast as memory is read.
        """
        users = np.empty(at_most, np.int64)
        return users[: pair_table.holding(self._table, item, users)]

    def cleared(self) -> Handles:
        """Return int64[n]: the users who were forgotten, ascending."""
        users: Handles = np.flatnonzero(self._table.run_of)
        chosen: Handles = users[self._table.runs[self._table.run_of[users] - 1, pair_table.CLEARED] > 0]
        return chosen

    def popularity(self, items: int | None = None) -> Handles:
        """Return int64[items], by item the users who know it; a view, as long as it may be where no length is given."""
        self._reach(0, items or 0)
        return self._table.item_counts[:items]

    def activity(self, users: int | None = None) -> Handles:
        """Return int64[users], by user the items known; a view, as long as it may be where no length is given."""
        self._reach(users or 0, 0)
        return self._table.row_counts[:users]

    def _reach(self, users: int, items: int) -> None:
        table = self._table
        if users > min(len(table.run_of), len(table.row_counts)):
            table = table._replace(run_of=_grown(table.run_of, users), row_counts=_grown(table.row_counts, users))
        if items > len(table.item_counts):
            table = table._replace(item_counts=_grown(table.item_counts, items))
        self._table = table

    def _make_room(self, user: int) -> None:
        """Double what is short, for one more change of this user."""
        table = self._table
        if table.used[pair_table.RUNS] == len(table.runs):
            table = table._replace(runs=_grown(table.runs, len(table.runs) + 1))
        self._table = table
        self._grow_keys(int(table.used[pair_table.KEYS]) + 1)
        run = int(table.run_of[user]) - 1
        self._grow_pool(2 * int(table.runs[run, pair_table.ROOM]) + pair_table.FIRST if run >= 0 else pair_table.FIRST)

    def _grow_keys(self, count: int) -> None:
        """Let the table have so many keys."""
        table = self._table
        if 2 * count <= len(table.keys):
            return
        size = 1 << (2 * count - 1).bit_length()
        keys, places = np.full(size, -1, np.int64), np.empty(size, np.int32)
        table.used[pair_table.KEYS] = pair_table.rehash(table.keys, table.places, keys, places)
        self._table = table._replace(keys=keys, places=places)

    def _grow_pool(self, wanted: int) -> None:
        """Let the pool have so many more entries."""
        table = self._table
        if table.used[pair_table.POOL] + wanted <= len(table.values):
            return
        held = int(table.runs[: table.used[pair_table.RUNS], pair_table.ROOM].sum())
        size = max(_FIRST, 2 * held, held + wanted)
        entries, values = np.empty((size, 2), np.int32), np.empty(size)
        pair_table.repack(table.runs, table.used, table.entries, table.values, entries, values)
        self._table = table._replace(entries=entries, values=values)


def compile_steps() -> None:
    """Go through every compiled step once, so that none has to be compiled, or loaded, when somebody waits."""
    items = np.arange(2 * _FIRST)
    delta = PairDelta(Base(np.zeros(1, np.int64), np.empty(0, np.int32), np.empty(0)), np.empty(0, np.int64))
    delta.put(np.zeros_like(items), items, np.ones(len(items)))
    delta.split(items[:1], 1, items[:1])
    delta.strengths(items[:1], items[:1])
    delta.holders(0, 1)
    delta.forget(0)
    delta.load(ChangedRows(items[1:2], np.arange(2), items[:1].astype(np.int32), np.ones(1)))


def _fixed(array: NDArray[Any], dtype: type) -> NDArray[Any]:
    """The same values, contiguous and not writeable, so that the kernels are compiled for one kind of array alone."""
    view = np.ascontiguousarray(array, dtype).view(np.ndarray)
    view.flags.writeable = False
    return view


def _grown(array: NDArray[Any], size: int) -> NDArray[Any]:
    """A copy of at least twice the length, zeros behind; the same array if it is long enough."""
    if size <= len(array):
        return array
    grown = np.zeros((max(size, 2 * len(array)), *array.shape[1:]), array.dtype)
    grown[: len(array)] = array
    return grown
