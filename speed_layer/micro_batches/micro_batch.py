"""What a micro-batch's interactions come to: the pairs that they change, before anything is solved."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

__all__ = ["MicroBatch", "nothing_but"]

Handles = NDArray[np.int64]


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

    def users_of(self, items: Handles) -> Handles:
        """Return int64[u], ascending: whose pairs with one of these items are here, known or gone."""
        return self.users[np.unique(self.owners()[np.isin(self.items, items)])]

    def owners(self) -> Handles:
        """Return int64[n], by pair the position of its user."""
        return np.repeat(np.arange(len(self.users)), np.diff(self.indptr))


def nothing_but(forgotten_items: frozenset[int]) -> MicroBatch:
    """Return what touches nobody, and says that these items are forgotten."""
    none = np.empty(0, np.int64)
    nobody, indptr = np.empty(0, np.bool_), np.zeros(1, np.int64)
    return MicroBatch(none, none, none, nobody, indptr, none, np.empty(0), forgotten_items, nobody)
