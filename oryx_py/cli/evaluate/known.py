"""What each user knows at a moment of the replay, and how many users know each item: the same for all arms."""

import numpy as np
from numpy.typing import NDArray

from oryx_py.cli.evaluate.log import Log
from oryx_py.cli.evaluate.training import ageless, folded
from oryx_py.events import FoldSettings, fold_pair, weigh
from oryx_py.model.generations.csr import Csr

__all__ = ["Known"]


class Known:
    """Begins with the first part of a log, and learns on. Age takes nothing away: who has met an item knows it.

    Args:
        log: all of it; of what comes after ``trained`` nothing is looked at before it is learned.
        trained: length of the first part.
        fold: the settings'.
    """

    def __init__(self, log: Log, trained: int, fold: FoldSettings) -> None:
        self._log = log
        self._fold = ageless(fold)
        pairs = folded(log.first(trained), self._fold)
        self._base = Csr.from_pairs(pairs.users, pairs.items, pairs.strengths, len(log.user_ids))
        self._of: dict[int, dict[int, float | None]] = {}
        self.counts: NDArray[np.int64] = np.bincount(pairs.items, minlength=len(log.item_ids)).astype(np.int64)
        """int64[items]: users who know each item now."""

    def items(self, user: int) -> NDArray[np.int64]:
        """Return int64[n], the items that a user knows now, in no order."""
        pairs = self._pairs(user)
        return np.fromiter((item for item, strength in pairs.items() if strength is not None), np.int64)

    def knows(self, user: int, item: int) -> bool:
        """Say whether a pair is known now."""
        return self._pairs(user).get(item) is not None

    def added(self, at: int) -> float | None:
        """Return what an interaction adds to its pair; None for a delete, and for what is too little to count."""
        interaction = self._log.interaction(at)
        if interaction.strength is None:
            return None
        return weigh(interaction.strength, interaction.kind, -1, self._fold, 0)

    def learn(self, at: int) -> None:
        """Take an interaction in."""
        user, item = int(self._log.users[at]), int(self._log.items[at])
        strength = self.added(at)
        if strength is None and not np.isnan(self._log.strengths[at]):
            return
        pairs = self._pairs(user)
        before = pairs.get(item)
        pairs[item] = after = fold_pair(before, strength, self._fold)
        self.counts[item] += (after is not None) - (before is not None)

    def _pairs(self, user: int) -> dict[int, float | None]:
        found = self._of.get(user)
        if found is None:
            items, strengths = self._base.row(user)
            found = self._of[user] = dict(zip(items.tolist(), strengths.tolist(), strict=True))
        return found
