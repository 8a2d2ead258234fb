"""Interactions that wait to be folded, and the micro-batches cut from them: pairs, before anything is solved."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oryx_py.events import FoldSettings, Interaction, InteractionColumns
from oryx_py.events.fold import fold_columns
from oryx_py.events.weighing import times_of, weigh_columns
from oryx_py.messages.partitions import homes_of
from oryx_py.model.state import ModelState
from speed_layer.by_item import ByItem

__all__ = ["MicroBatch", "Waiting", "nothing_but"]

Handles = NDArray[np.int64]

_WHOLE_USER = -1
"""In an item's place: the user is forgotten."""
_SWEPT = -2
"""In a time's place: an item that the user knows is forgotten, and he has done nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class MicroBatch:
    """What interactions touched, folded onto the state before them.

    Attributes:
        users: int64[m] handles, ascending.
        inputs: int64[m], offset of each one's newest interaction.
        at_ms: int64[m], Kafka's time of each one's newest interaction, -1 for none.
        forgotten: bool[m], who was forgotten and known no more, but for what came afterwards.
        indptr: int64[m + 1]: whose pairs are whose.
        items: int64[n] handles, ascending within a user.
        strengths: float64[n], each pair's now; NaN for what is not known (any more).
        forgotten_items: handles.
        swept: bool[m], who is here only because an item is forgotten; all of such a user's pairs are NaN.
        knew: by item forgotten, where it was looked up: int64[n], who knew it before this.
    """

    users: Handles
    inputs: Handles
    at_ms: Handles
    forgotten: NDArray[np.bool_]
    indptr: Handles
    items: Handles
    strengths: NDArray[np.float64]
    forgotten_items: frozenset[int]
    swept: NDArray[np.bool_]
    knew: Mapping[int, Handles] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.users)

    def unswept(self) -> "MicroBatch":
        """Return it without those who are swept."""
        if not self.swept.any():
            return self
        kept, pairs = ~self.swept, ~self.swept[self.owners()]
        indptr = np.concatenate([[0], np.cumsum(np.diff(self.indptr)[kept])])
        return replace(
            self,
            users=self.users[kept],
            inputs=self.inputs[kept],
            at_ms=self.at_ms[kept],
            forgotten=self.forgotten[kept],
            indptr=indptr,
            items=self.items[pairs],
            strengths=self.strengths[pairs],
            swept=self.swept[kept],
        )

    def owners(self) -> Handles:
        """Return int64[n], by pair the position of its user."""
        return np.repeat(np.arange(len(self.users)), np.diff(self.indptr))


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Interactions as columns, in the order of arrival; ``items`` is -1 where a user is forgotten."""

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
        return self.users, self.items, self.strengths, self.offsets, self.times_ms, self.partitions

    def where(self, chosen: Any) -> "_Rows":
        return _Rows(*(column[chosen] for column in self.columns))


def _together(parts: Sequence[_Rows]) -> _Rows:
    columns: list[NDArray[Any]] = [np.concatenate(same) for same in zip(*(rows.columns for rows in parts), strict=True)]
    return _Rows(*columns)


_NONE = np.empty(0, np.int64)
_NO_ROWS = _Rows(_NONE, _NONE, np.empty(0, np.float64), _NONE, _NONE, _NONE)


def _by_user(parts: Sequence[_Rows]) -> _Rows:
    """Return the rows by user, each one's in the order of arrival."""
    rows = _together(parts)
    return rows.where(np.argsort(rows.users, kind="stable"))


class _Cut:
    """Rows by user, cut into slices from the front; where each user begins is looked up once for all of them."""

    def __init__(self, rows: _Rows = _NO_ROWS) -> None:
        self._rows = rows
        self._begins = np.append(np.flatnonzero(np.diff(rows.users, prepend=-1)), len(rows))
        self._next = 0

    def __len__(self) -> int:
        return len(self._rows) - int(self._begins[self._next])

    @property
    def rows(self) -> _Rows:
        """All of them, also those that were taken."""
        return self._rows

    @property
    def first(self) -> int:
        """The first user whose rows were not taken."""
        return int(self._rows.users[self._begins[self._next]])

    @property
    def rest(self) -> _Rows:
        return self._rows.where(slice(int(self._begins[self._next]), None))

    def take(self, max_users: int, max_rows: int | None) -> _Rows:
        begin, to = int(self._begins[self._next]), min(self._next + max_users, len(self._begins) - 1)
        if max_rows is not None:
            fits = int(np.searchsorted(self._begins, begin + max_rows, "right")) - 1
            to = min(to, max(fits, self._next + 1))
        rows = self._rows.where(slice(begin, int(self._begins[to])))
        self._next = to
        return rows if len(self) else self._let_go(rows)

    def _let_go(self, last: _Rows) -> _Rows:
        self._rows, self._begins, self._next = _NO_ROWS, np.zeros(1, np.int64), 0
        return last


@dataclass
class Waiting:
    """Takes interactions one by one, gives back micro-batches; reads the state, and names only new IDs in it.

    Args:
        state: the epoch's, as of the last micro-batch.
        partitions: of the input topic.
        knowing: returns who knows an item; asked once of each that is forgotten, however many partitions say so.
    """

    state: ModelState
    partitions: int
    knowing: Callable[[int], Handles]
    _new: list[tuple[Interaction, int, int, int]] = field(default_factory=list)
    _columns: list[_Rows] = field(default_factory=list)
    _cut: _Cut = field(default_factory=_Cut)
    """All of them older than the columns."""
    _forgotten_items: set[int] = field(default_factory=set)
    _knew: dict[int, tuple[Handles, NDArray[np.int32]]] = field(default_factory=dict)
    """By item forgotten since the last micro-batch: who knew it then, and these users' partitions."""
    _touched: ByItem = field(init=False)
    """Of the columns."""
    _touched_in_cut: ByItem = field(init=False)

    def __post_init__(self) -> None:
        self._touched, self._touched_in_cut = ByItem(self.partitions), ByItem(self.partitions)

    def __len__(self) -> int:
        """At least the number of users that wait, at most that of interactions."""
        return len(self._new) + sum(map(len, self._columns)) + len(self._cut)

    def __bool__(self) -> bool:
        return bool(self._new or self._columns or len(self._cut) or self._forgotten_items)

    def add(self, interaction: Interaction, partition: int, offset: int, kafka_ms: int) -> None:
        """Take one interaction; those of a partition come in the order of its offsets."""
        if interaction.user:
            self._new.append((interaction, partition, offset, kafka_ms))
        else:
            self._lay_down()
            self._forget_item(interaction.item, partition, offset)

    def add_many(
        self, interactions: InteractionColumns, partitions: Handles, offsets: Handles, kafka_ms: Handles
    ) -> None:
        """Take interactions as columns; those of a partition come in the order of its offsets."""
        self._lay_down()
        begin, forgets = 0, list[int]()
        if "" in interactions.users:
            forgets = [place for place, user in enumerate(interactions.users) if not user]
        for place in [*forgets, len(interactions)]:
            if place > begin:
                some = slice(begin, place)
                part = interactions if place - begin == len(interactions) else interactions.at(range(begin, place))
                self._lay(part, partitions[some], offsets[some], kafka_ms[some])
            if place < len(interactions):
                self._forget_item(interactions.items[place], int(partitions[place]), int(offsets[place]))
            begin = place + 1

    def take(self, max_users: int | None = None, max_rows: int | None = None) -> MicroBatch:
        """Cut off the interactions of so many users, all of them for None, and the items forgotten by now.

        With ``max_rows`` no more users than have so many interactions together, but at least one.
        """
        self._lay_down()
        if max_users is None:
            rows = _by_user([self._cut.rest, *self._columns])
            self._put(_Cut(), [])
        else:
            if not len(self._cut) and self._columns:
                self._put(_Cut(_by_user(self._columns)), [])
            rows = self._cut.take(max_users, max_rows)
        forgotten_items, self._forgotten_items = frozenset(self._forgotten_items), set()
        knew = {item: users for item, (users, _) in self._knew.items()}
        self._knew = {}  # the state is another when this is folded
        return replace(_folded(self.state, rows, forgotten_items), knew=knew)

    def drop(self, partition: int) -> None:
        """Leave out what waits of a partition: it is another's to fold."""
        self._lay_down()
        rest = self._cut.rest
        self._put(
            _Cut(rest.where(rest.partitions != partition)),
            [rows.where(rows.partitions != partition) for rows in self._columns],
        )

    def _put(self, cut: _Cut, columns: list[_Rows]) -> None:
        """Let this wait, and nothing else."""
        self._cut, self._columns = cut, columns
        self._touched, self._touched_in_cut = ByItem(self.partitions), ByItem(self.partitions)

    def _lay_down(self) -> None:
        """Turn what came one by one into columns."""
        if self._new:
            interactions, *places = zip(*self._new, strict=True)
            self._new = []
            self.add_many(InteractionColumns.of(interactions), *(np.array(column, np.int64) for column in places))

    def _lay(self, new: InteractionColumns, partitions: Handles, offsets: Handles, kafka_ms: Handles) -> None:
        """Add rows; leave out what is too old or too little to count."""
        manifest = self.state.generation.manifest
        settings: FoldSettings = manifest.fold
        users = self.state.users.intern_many(new.users)
        if "" in new.items:
            whole = np.array([not item for item in new.items])
            items = np.full(len(new), _WHOLE_USER, np.int64)
            items[~whole] = self.state.items.intern_many([name for name in new.items if name])
        else:
            items = self.state.items.intern_many(new.items)
        rows = _Rows(users, items, new.strengths, offsets, kafka_ms, partitions)
        if not settings.is_plain:
            known = {kind: place for place, kind in enumerate(settings.kinds)}
            kinds = np.array([known.get(kind, -1) for kind in new.kinds], np.int64)
            times_ms = times_of(new.timestamps_ms(), kafka_ms)
            weighed, counts = weigh_columns(new.strengths, kinds, times_ms, settings, manifest.as_of_ms)
            rows = replace(rows, strengths=weighed).where(counts)
        self._columns.append(rows)

    def _forget_item(self, name: str, partition: int, offset: int) -> None:
        """Let everybody in the partition who knows the item, or will when what waits is folded, delete it."""
        item = self.state.items.intern(name)
        waiting = [self._touched.users(self._columns, item, partition)]
        if len(self._cut):
            cut = self._touched_in_cut.users([self._cut.rows], item, partition)
            waiting.append(cut[cut >= self._cut.first])  # others of the cut are folded by now
        if item not in self._knew:
            known = self.knowing(item)
            self._knew[item] = known, homes_of(self.state.users.ids(known), self.partitions)
        known, homes = self._knew[item]
        users = np.unique(np.concatenate([known[homes == partition], *waiting]))
        if len(users):
            same = np.full(len(users), 1, np.int64)
            nothing = np.full(len(users), np.nan)
            self._columns.append(_Rows(users, item * same, nothing, offset * same, _SWEPT * same, partition * same))
        self._forgotten_items.add(item)


def nothing_but(forgotten_items: frozenset[int]) -> MicroBatch:
    """Return what touches nobody, and says that these items are forgotten."""
    none = np.empty(0, np.int64)
    nobody, indptr = np.empty(0, np.bool_), np.zeros(1, np.int64)
    return MicroBatch(none, none, none, nobody, indptr, none, np.empty(0), forgotten_items, nobody)


def _folded(state: ModelState, rows: _Rows, forgotten_items: frozenset[int]) -> MicroBatch:
    """Fold rows, by user and then in the order of arrival, onto the state."""
    if not len(rows):
        return nothing_but(forgotten_items)
    begins = np.flatnonzero(np.diff(rows.users, prepend=-1))
    ends = np.append(begins[1:], len(rows)) - 1
    users = rows.users[begins]
    owner = np.repeat(np.arange(len(users)), ends - begins + 1)
    inputs, at_ms = rows.offsets[ends], np.maximum.reduceat(rows.times_ms, begins)
    items, strengths = rows.items, rows.strengths
    forgotten = np.zeros(len(users), np.bool_)
    whole = np.flatnonzero(items == _WHOLE_USER)
    if len(whole):
        last = np.full(len(users), -1, np.int64)
        last[owner[whole]] = whole
        forgotten = last >= 0
        after = np.arange(len(rows)) > last[owner]
        # Also what came before the forget in this very batch: one that was cut otherwise may have sent it.
        before_it = ~after & (items != _WHOLE_USER)
        who = np.flatnonzero(forgotten)
        indptr, known, _ = state.histories.gather(users[who])
        owner = np.concatenate([np.repeat(who, np.diff(indptr)), owner[before_it], owner[after]])
        gone = np.full(len(known) + np.count_nonzero(before_it), np.nan)
        strengths = np.concatenate([gone, strengths[after]])
        items = np.concatenate([known, items[before_it], items[after]])
    order = np.lexsort((items, owner))
    sorted_owner, sorted_items = owner[order], items[order]
    first = np.ones(len(order), np.bool_)
    first[1:] = (sorted_owner[1:] != sorted_owner[:-1]) | (sorted_items[1:] != sorted_items[:-1])
    pair = np.empty(len(order), np.int64)
    pair[order] = np.cumsum(first) - 1
    pair_owner, pair_items = sorted_owner[first], sorted_items[first]
    before = state.histories.strengths(users[pair_owner], pair_items)
    had = np.flatnonzero(~np.isnan(before) & ~forgotten[pair_owner])
    folded = fold_columns(
        np.concatenate([had, pair]),
        np.concatenate([before[had], strengths]),
        state.generation.manifest.fold,
        len(pair_items),
    )
    indptr = np.zeros(len(users) + 1, np.int64)
    np.cumsum(np.bincount(pair_owner, minlength=len(users)), out=indptr[1:])
    swept = at_ms == _SWEPT
    at_ms = np.maximum(at_ms, -1)
    return MicroBatch(users, inputs, at_ms, forgotten, indptr, pair_items, folded, forgotten_items, swept)
