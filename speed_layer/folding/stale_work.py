"""Works off what others' interactions have made stale, as much in a step as its budget allows."""

import numpy as np
from numpy.typing import NDArray

from oryx_py.messages import UserVector
from oryx_py.messages.blocks import Updates
from oryx_py.model.state.model_state import ModelState
from speed_layer.folding.higher_levels import HigherLevels
from speed_layer.folding.level_solver import LevelSolver
from speed_layer.micro_batches.micro_batch import nothing_but
from speed_layer.sharing.peers import Peers
from speed_layer.solving.budget import Budget
from speed_layer.solving.levels import Levels

__all__ = ["StaleWork"]


class StaleWork:
    """Takes what waits in the levels' queues, the longest waiting first.

    Args:
        state, levels: the fold's.
        peers: what other processes say of the epoch, and are told; None where there are none.
        solver: of the fold.
        higher: the systems of levels 2 and 3.
    """

    def __init__(
        self, state: ModelState, levels: Levels, peers: Peers | None, solver: LevelSolver, higher: HigherLevels
    ) -> None:
        self._state, self._levels, self._peers = state, levels, peers
        self._solver, self._higher = solver, higher

    def work_off(self, budget: Budget, updates: list[Updates]) -> None:
        """Solve stale items, and then stale users, the longest waiting first, until the budget is used.

        Users who know an item that waits too are solved once more after it, so that items go first; but half of the
        budget is the users', or they would wait for ever where items become stale as fast as they are solved.
        What others have yet to be told goes first: theirs is stale because of it.
        """
        levels = self._levels
        if self._peers is not None:
            updates += self._peers.unsent.take(budget)
        if levels.shaken:
            self._settle(budget.again(), updates)  # their own, or new items' followers would wait for all of them
        # Whom a forgotten item's system takes moves in the steps to come: it is solved when they are through.
        later = self._state.forgotten_items if levels.shaken else ()
        kept = budget.reserve(len(levels.stale_users))
        while not budget.spent:
            some, _ = budget.affordable((item for item in levels.stale_items if item not in later), self._solver.weight)
            if not some:
                break
            self._solver.solve_items((some, []), updates)
        budget.take_back(kept)
        while levels.stale_users and not budget.spent:
            some, _ = budget.affordable(levels.stale_users, lambda _: 1)
            levels.stale_users.discard(some)
            users = np.array([user for user in some if user in self._levels.level3], np.int64)
            vectors, solved = self._higher.followers(users)
            for user, vector, has_one in zip(users.tolist(), vectors, solved, strict=True):
                self._solver.publish(self._message(user, vector if has_one else None), updates)

    def _settle(self, budget: Budget, updates: list[Updates]) -> None:
        """Solve users who knew an item that is forgotten, the longest waiting first, until the budget is used."""
        shaken = self._levels.shaken
        activity = self._state.histories.activity(len(self._state.users))
        some, _ = budget.affordable(shaken, lambda user: int(activity[user]))
        shaken.discard(some)
        users = np.array(some, np.int64)
        nobody = activity[users] == 0
        self._solver.solve_users(nothing_but(frozenset()), users, budget, updates)
        for user in users[nobody].tolist():
            self._solver.publish(self._message(user, None), updates)

    def _message(self, user: int, vector: NDArray[np.float32] | None) -> UserVector:
        """Return a user's vector that answers no record."""
        state = self._state
        return UserVector(state.users.id(user), vector, epoch=state.epoch, input=state.user_input(user))
