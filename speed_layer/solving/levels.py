"""Which users and items an epoch's state has below the generation's level, and which are to be solved again.

The levels are those of the consistency rules (`speed_layer.folding.exact_fold`): items that are new, or forgotten in
the epoch, are of level 2; users who know no others are of level 3.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oryx_py.model.state.changed_rows import ChangedRows
from oryx_py.model.state.model_state import ModelState
from speed_layer.solving.stale_queue import StaleQueue

__all__ = ["Levels", "level_sets"]


class Levels:
    """Which items are of level 2 and which users of level 3, as the fold goes on; owned by one fold.

    Args:
        state: of the epoch. One that was left by another, as a checkpoint has it, does not say what of it was stale, so
            everything below the generation's level is.
    """

    def __init__(self, state: ModelState) -> None:
        self._state = state
        self.holders, self.level3 = level_sets(state)
        """By item of level 2 the users who know it; and the users of level 3."""
        self.stale_items, self.stale_users = StaleQueue(self.holders), StaleQueue(sorted(self.level3))
        """To be solved again for what others did."""
        self.again: set[int] = set()
        """Items of level 2 to be sent once more, also where they have no vector."""
        self.shaken = StaleQueue()
        """Users of any level who knew an item that was forgotten, to be solved again."""
        for item in sorted(state.forgotten_items):  # of another partition's forget, that of theirs may yet come
            self.shaken.add(sorted(self.holders.get(item, ())))

    @property
    def stale(self) -> int:
        """How many items and users are to be solved again."""
        return len(self.stale_items) + len(self.stale_users) + len(self.shaken)

    def owe(self) -> None:
        """Mark all who are to be solved again now."""
        for waiting in (self.stale_items, self.stale_users, self.shaken):
            waiting.owe()

    @property
    def owed(self) -> int:
        """How many of those marked are still to be solved again."""
        return self.stale_items.owed + self.stale_users.owed + self.shaken.owed

    def is_level0(self, items: NDArray[Any]) -> NDArray[np.bool_]:
        """Return bool[n]: which items have their vector of the generation."""
        level0: NDArray[np.bool_] = items < self._state.items.base
        forgotten = self._state.forgotten
        if len(forgotten):
            at = np.minimum(np.searchsorted(forgotten, items), len(forgotten) - 1)
            level0 &= forgotten[at] != items
        return level0

    def knowing(self, item: int) -> NDArray[np.int64]:
        """Return int64[n]: who knows an item; of one of level 0 the histories have to be gone through."""
        if item < self._state.items.base and item not in self._state.forgotten_items:
            return self._state.histories.users_of(item)
        users = self.holders.get(item, set())
        return np.fromiter(users, np.int64, len(users))

    def feeding(self, item: int) -> set[int]:
        """Return the users of level 1 who know an item of level 2."""
        return self.holders.get(item, set()) - self.level3

    def track(self, users: NDArray[np.int64], items: NDArray[np.int64], strengths: NDArray[np.float64]) -> None:
        """Note who knows items of level 2 now, and who does not: a strength of NaN."""
        gone = np.isnan(strengths)
        for user, item in zip(users[~gone].tolist(), items[~gone].tolist(), strict=True):
            self.holders.setdefault(item, set()).add(user)
        for item, who in _grouped(items[gone], users[gone]):  # of an item that is forgotten there are very many
            self.holders.setdefault(item, set()).difference_update(who)

    def move(self, users: NDArray[np.int64], level1: NDArray[np.bool_], knows: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Note who is of level 3 now; return bool[n]: who was not."""
        level3 = self.level3
        fed_before = np.ones(len(users), np.bool_)
        if level3:
            fed_before = np.fromiter((user not in level3 for user in users.tolist()), np.bool_, len(users))
            level3.difference_update(users[~fed_before].tolist())
        level3.update(users[~level1 & knows].tolist())
        self.stale_users.discard(users[~fed_before & (level1 | ~knows)].tolist())
        return fed_before

    def follow(self, item: int) -> None:
        """Note that an item's vector is another: users of level 3 who know it are stale."""
        self.stale_users.add(sorted(self.holders.get(item, set()) & self.level3))


def level_sets(state: ModelState) -> tuple[dict[int, set[int]], set[int]]:
    """Return by item of level 2 the users who know it, and the users of level 3.

    What has changed is gone through as arrays; only pairs with items of level 2 take a step each.
    """
    if not (len(state.items) > state.items.base or state.forgotten_items or state.histories.changed()):
        return {}, set()
    rows = state.histories.rows()
    forgotten = state.forgotten
    is_level0 = (rows.items < state.items.base) & ~np.isin(rows.items, forgotten)
    holders: dict[int, set[int]] = {item: set() for item in range(state.items.base, len(state.items))}
    old_items = forgotten[forgotten < state.items.base].tolist()
    holders |= {item: set(state.histories.users_of(item).tolist()) for item in old_items}
    of_level2 = rows.known & ~is_level0
    for item, who in _grouped(rows.items[of_level2], rows.user_of_pairs()[of_level2]):
        holders[item].update(who)
    without = _without_changed(rows, rows.known & is_level0)
    # Of what the generation says of a user, each pair that no longer counts has changed, or its item is forgotten.
    degrees = state.generation.user_histories.indptr
    gone = np.diff(np.concatenate([[0], np.cumsum(~rows.known)])[rows.indptr])[without]
    users = rows.users[without]
    base = np.zeros(len(users), np.int64)
    old = users < state.users.base
    base[old] = degrees[users[old] + 1] - degrees[users[old]]
    candidates = set(users[base <= gone + len(forgotten)].tolist())
    candidates.update(users[np.isin(users, state.histories.forgotten())].tolist())
    for item in old_items:
        candidates.update(holders[item])
    return holders, {user for user in candidates if _is_level3(state, user)}


def _without_changed(rows: ChangedRows, counted: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return int64[n]: the rows in which no pair is counted."""
    sums = np.concatenate([[0], np.cumsum(counted)])[rows.indptr]
    return np.flatnonzero(np.diff(sums) == 0)


def _is_level3(state: ModelState, user: int) -> bool:
    items = state.history(user)[0]
    level0 = [item for item in items[items < state.items.base].tolist() if item not in state.forgotten_items]
    return len(items) > 0 and not level0


def _grouped(items: NDArray[Any], users: NDArray[np.int64]) -> Iterator[tuple[int, list[int]]]:
    order = np.argsort(items, kind="stable")
    items, users = items[order], users[order]
    starts = np.flatnonzero(np.diff(items, prepend=-1))
    for start, part in zip(starts.tolist(), np.split(users, starts[1:]), strict=True) if len(items) else ():
        yield int(items[start]), part.tolist()
