"""Pairs that are gone since an item is forgotten, and of which readers have yet to be told: a step says so many."""

from collections import deque
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from oryx_py.messages.blocks import PairsGone
from oryx_py.model.state.model_state import ModelState
from speed_layer.sharing.item_states import inputs_of
from speed_layer.solving.budget import Budget

__all__ = ["Removals"]

Handles = NDArray[np.int64]


class Removals:
    """The pairs, those that wait longest first; owned by one fold, in whose state they are gone already.

    Nothing is announced before all of them are said. Who does something is told of before that is: a pair that he then
    has anew must not be taken for the one that is gone. None of it is lost with the process: what was not announced is
    folded again.

    Args:
        state: the fold's.
    """

    def __init__(self, state: ModelState) -> None:
        self._state = state
        self._waiting: deque[tuple[Handles, Handles]] = deque()
        """Users and items."""
        self._concerned = np.empty(0, np.bool_)
        """By user, whether there may be a pair."""

    def __len__(self) -> int:
        return sum(len(users) for users, _ in self._waiting)

    def add(self, users: Handles, items: Handles) -> None:
        """Let pairs wait, which are gone: int64[n] users and items."""
        if not len(users):
            return
        if len(self._concerned) < len(self._state.users):
            self._concerned = np.append(
                self._concerned, np.zeros(len(self._state.users) - len(self._concerned), np.bool_)
            )
        self._concerned[users] = True
        self._waiting.append((users, items))

    def of(self, users: Handles) -> list[PairsGone]:
        """Return what is to be said of these users, now: they have done something."""
        users = users[users < len(self._concerned)]
        theirs = users[self._concerned[users]]
        if not len(theirs):
            return []
        self._concerned[theirs] = False
        return [self._said(*pairs) for pairs in self._let_go(theirs) if len(pairs[0])]

    def keep(self, own: Callable[[Iterable[int]], set[int]]) -> None:
        """Say nothing of users who are others' from now on, of which ``own`` returns the rest."""
        users = {user for users, _ in self._waiting for user in users.tolist()}
        self._let_go(np.array(sorted(users - own(users)), np.int64))

    def take(self, budget: Budget) -> list[PairsGone]:
        """Return what is said next, as much as the budget allows."""
        said: list[PairsGone] = []
        while self._waiting and (most := budget.grant_gone(len(self._waiting[0][0]))):
            users, items = self._waiting.popleft()
            said.append(self._said(users[:most], items[:most]))
            if most < len(users):
                self._waiting.appendleft((users[most:], items[most:]))
        if not self._waiting:
            self._concerned = np.empty(0, np.bool_)
        return said

    def _let_go(self, users: Handles) -> list[tuple[Handles, Handles]]:
        """Return the pairs of these users, which wait no more."""
        found: list[tuple[Handles, Handles]] = []
        for _ in range(len(self._waiting)):
            of_pairs, items = self._waiting.popleft()
            theirs = np.isin(of_pairs, users)
            found.append((of_pairs[theirs], items[theirs]))
            if not theirs.all():
                self._waiting.append((of_pairs[~theirs], items[~theirs]))
        return found

    def _said(self, users: Handles, items: Handles) -> PairsGone:
        """Return pairs as messages; their inputs are those of now, or readers would drop them as overtaken."""
        state = self._state
        return PairsGone(
            users=state.users.ids(users),
            handles=users,
            items=state.items.ids(items),
            item_handles=items,
            epoch=state.epoch,
            inputs=inputs_of(state, users),
        )
