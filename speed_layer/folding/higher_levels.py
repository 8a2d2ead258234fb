"""The systems of levels 2 and 3: new items from their users, and users who know nothing else from new items.

Looks at the state as it is, and changes nothing.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from oryx_py.model.state.model_state import ModelState
from oryx_py.numerics.fold_in.dense import Prior
from speed_layer.sharing.peers import Peers
from speed_layer.solving.levels import Levels
from speed_layer.solving.user_solver import UserSolver

__all__ = ["HigherLevels"]

Handles = NDArray[np.int64]
Solved = tuple[NDArray[np.float32], NDArray[np.bool_]]
"""float32[n, k]: vectors; and bool[n]: which of them there are."""


class HigherLevels:
    """Solves what depends on vectors that were solved before.

    Args:
        state, levels: of the fold.
        peers: what other processes say of their users; None where there are none.
        solver: of the systems.
        users_prior, items_prior: of the generation.
    """

    def __init__(
        self,
        state: ModelState,
        levels: Levels,
        peers: Peers | None,
        solver: UserSolver,
        users_prior: Prior,
        items_prior: Prior,
    ) -> None:
        self._state, self._levels, self._peers, self._solver = state, levels, peers, solver
        self._users_prior, self._items_prior = users_prior, items_prior

    def items(self, items: Sequence[int]) -> Solved:
        """Solve items of level 2 from their users of level 1; one that has none of these has no vector."""
        state = self._state
        feeding = [sorted(self._levels.feeding(item)) for item in items]
        indptr = np.concatenate([[0], np.cumsum([len(users) for users in feeding], dtype=np.int64)])
        holders = np.array([user for users in feeding for user in users], np.int64)
        strengths = state.histories.strengths(holders, np.repeat(np.array(items, np.int64), np.diff(indptr)))
        users, rows = np.unique(holders, return_inverse=True)
        factors = state.user_vectors.gather(users)
        if self._peers is not None and len(self._peers.share.foreign):
            names = state.items.ids(np.array(items, np.int64))
            indptr, rows, strengths, factors = self._peers.share.joined(names, indptr, rows, strengths, factors)
        vectors = self._solver.solve_with(indptr, rows, strengths, factors, self._users_prior)
        return vectors, np.diff(indptr) > 0

    def followers(self, users: Handles) -> Solved:
        """Solve users of level 3 from the new items that have a vector."""
        state = self._state
        indptr, items, strengths = state.histories.gather(users)
        usable = state.item_vectors.has(items)
        before = np.concatenate([[0], np.cumsum(usable)])
        distinct, rows = np.unique(items[usable], return_inverse=True)
        factors = state.item_vectors.gather(distinct)
        starts = before[indptr]
        vectors = self._solver.solve_with(starts, rows, strengths[usable], factors, self._items_prior)
        return vectors, np.diff(starts) > 0
