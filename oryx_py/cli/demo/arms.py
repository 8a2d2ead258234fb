"""What the model would answer without the speed layer, and what popularity answers: computed here, from the artefact.

All arms are asked for the same: the best items that the user does not know, as of that moment. What the user has
learned since the training is left out of the frozen model's answer and of popularity's as well, so that the speed
layer is not praised for that alone.
"""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from oryx_py.model.generations.generation import Generation
from oryx_py.numerics.ranking.topn import top_n

__all__ = ["Frozen", "Numbers"]


class Numbers:
    """Items as numbers: the generation's rows first, further ones in the order in which they are met."""

    def __init__(self, generation: Generation) -> None:
        self._table = generation.items
        self._further: dict[str, int] = {}

    def of(self, item: str) -> int:
        """Return the item's number."""
        row = self._table.find(item)
        return row if row >= 0 else self._further.setdefault(item, len(self._table) + len(self._further))


class Frozen:
    """A generation as it was trained; learns nothing."""

    def __init__(self, generation: Generation) -> None:
        self._generation = generation
        self._popularity = np.diff(generation.item_histories.indptr).astype(np.float32)

    def knows(self, user: str) -> bool:
        """Say whether the user was in the training."""
        return self._generation.users.find(user) >= 0

    def history(self, user: str) -> set[int]:
        """Return the rows of the items that the user knew at training."""
        row = self._generation.users.find(user)
        return set() if row < 0 else set(self._generation.user_histories.row(row)[0].tolist())

    def best(self, user: str, known: Collection[int], n: int) -> NDArray[np.int64]:
        """Return int64[≤ n] items by ``x_u · y_i``, those ``known`` left out; the popular ones for a stranger."""
        row = self._generation.users.find(user)
        if row < 0:
            return self.popular(known, n)
        return self._ranked(self._generation.item_factors @ self._generation.user_factors[row], known, n)

    def popular(self, known: Collection[int], n: int) -> NDArray[np.int64]:
        """Return int64[≤ n] items by the number of users who knew them at training, those ``known`` left out."""
        return self._ranked(self._popularity, known, n)

    def _ranked(self, scores: NDArray[np.float32], known: Collection[int], n: int) -> NDArray[np.int64]:
        """The best of all items but the known ones; ties by row, which is the order of the IDs."""
        left = np.ones(len(scores), np.bool_)
        rows = np.fromiter(known, np.int64, len(known))
        left[rows[rows < len(scores)]] = False
        places = np.flatnonzero(left)
        return places[top_n(scores[places], n)]
