"""Users of whom others have yet to hear what they say of new items: a step says so much of it, and the rest later."""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from oryx_py.messages.item_state import ItemState
from oryx_py.model.state.model_state import ModelState
from speed_layer.sharing.item_states import inputs_of, states_of
from speed_layer.solving.budget import Budget
from speed_layer.solving.levels import Levels

__all__ = ["UnsentStates"]

Handles = NDArray[np.int64]

Gone = tuple[Handles, Handles, Handles]
"""Pairs of users and items that are gone: int64[n] users, their inputs, and items."""


class UnsentStates:
    """The users, the longest waiting first; owned by one fold.

    A user who knows very many new items says something of each of them whenever his vector moves. What is not said at
    once is said once for many of his moves. None of it is lost with the process: a start says everything once more.

    Args:
        state, levels: the fold's.
    """

    def __init__(self, state: ModelState, levels: Levels) -> None:
        self._state, self._levels = state, levels
        self._users: dict[int, int] = {}
        """How many of each one's new items are through."""
        self._moved: set[int] = set()
        """Of these, who has moved since the first of them was."""
        self._gone: deque[Gone] = deque()
        self._owed: set[int] = set()
        """Users who waited when they were marked, and have not been through since."""
        self._owed_gone = 0
        """Of the pairs that are gone, likewise, the first ones."""

    def owe(self) -> None:
        """Mark all that waits now: who moves meanwhile is not waited for twice."""
        self._owed, self._owed_gone = set(self._users), self._count_gone()

    @property
    def owed(self) -> int:
        """How many of those marked still wait."""
        return len(self._owed) + self._owed_gone

    def _count_gone(self) -> int:
        return sum(len(users) for users, _, _ in self._gone)

    def __len__(self) -> int:
        return len(self._users) + self._count_gone()

    def __contains__(self, user: int) -> bool:
        """Whether a user's states wait; what he has had to do with a forgotten item is over, however he moves."""
        return user in self._users

    def add(self, users: list[int]) -> None:
        """Let users wait; of one who does already, all is said once more."""
        for user in users:
            if self._users.setdefault(user, 0):
                self._moved.add(user)

    def add_gone(self, users: Handles, inputs: Handles, items: Handles) -> None:
        """Let pairs wait that are gone since their item is forgotten; each with its user's input at that time."""
        if len(users):
            self._gone.append((users, inputs, items))

    def keep(self, users: set[int]) -> None:
        """Leave out all users but these."""
        owed, self._owed_gone = self._owed_gone, 0
        for _ in range(len(self._gone)):
            gone = self._gone.popleft()
            kept = np.isin(gone[0], list(users))
            self._owed_gone += int(kept[: max(owed, 0)].sum())
            owed -= len(kept)
            self.add_gone(*(column[kept] for column in gone))
        self._users = {user: through for user, through in self._users.items() if user in users}
        self._moved &= users
        self._owed &= users

    @property
    def users(self) -> set[int]:
        """Who waits."""
        return set(self._users).union(*(users.tolist() for users, _, _ in self._gone))

    def take(self, budget: Budget) -> list[ItemState]:
        """Return what is said next, as much as the budget allows."""
        said = self._take_gone(budget)
        while self._users and (most := budget.grant_states(1 << 62)):
            user, through = next(iter(self._users.items()))
            some, left = self._of(user, through, most)
            budget.give_back(most - len(some))
            said += some
            if left:
                self._users[user] = through + len(some)
                continue
            del self._users[user]
            self._owed.discard(user)
            if user in self._moved:
                self._moved.discard(user)
                self._users[user] = 0
        return said

    def _take_gone(self, budget: Budget) -> list[ItemState]:
        said: list[ItemState] = []
        while self._gone and (most := budget.grant_states(1 << 62)):
            gone = self._gone.popleft()
            users, inputs, items = (column[:most] for column in gone)
            pairs = np.arange(len(users)), items, np.full(len(users), np.nan)
            said += states_of(self._state, users, inputs, np.zeros(len(users), np.bool_), pairs)
            budget.give_back(most - len(users))
            self._owed_gone = max(0, self._owed_gone - len(users))
            if len(users) < len(gone[0]):
                users, inputs, items = (column[most:] for column in gone)
                self._gone.appendleft((users, inputs, items))
        return said

    def _of(self, user: int, through: int, most: int) -> tuple[list[ItemState], bool]:
        """Return so many states of a user, after those that are through, and whether there are more."""
        state, handle = self._state, np.array([user], np.int64)
        _, items, strengths = state.histories.gather(handle)
        new: NDArray[np.bool_] = ~self._levels.is_level0(items)
        items, strengths = items[new][through:], strengths[new][through:]
        count = min(most, len(items))
        pairs = np.zeros(count, np.int64), items[:count].astype(np.int64), strengths[:count]
        feeds = np.array([user not in self._levels.level3])
        return states_of(state, handle, inputs_of(state, handle), feeds, pairs), len(items) > count
