"""The states of new items' users, as the item topic has them: the newest of each pair, whatever came before."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from oryx_py.messages import partition_of
from oryx_py.messages.item_state import AllSaid, ItemState
from oryx_py.numerics.objective import Objective

__all__ = ["ItemStates"]


class ItemStates:
    """By item and user the state with the highest term and ``input``, among equals the later; one owner, one thread.

    What was said with a lower term ends when an owner has said all. Order across users changes nothing, and neither
    does a record that is read twice.

    Args:
        objective: of the generation, for the strengths that weights and targets come of.
        features: length of a vector; states of another are left out.
        partitions: of the input topic.
    """

    def __init__(self, objective: Objective, features: int, partitions: int) -> None:
        self._objective, self._features, self._partitions = objective, features, partitions
        self._ranks: dict[str, dict[str, tuple[int, int]]] = {}
        """Term and input, also of pairs that are gone: what is older must not bring them back."""
        self._parts: dict[str, dict[str, tuple[float, NDArray[np.float32]]]] = {}
        """Strength and the user's vector, of those that count."""
        self._ended: dict[int, int] = {}
        """By input partition: below this term nothing counts."""

    def put(self, state: ItemState) -> bool:
        """Take a user's state in; say whether the item's system may be another now."""
        if self._ended and state.term < self._ended.get(partition_of(state.user, self._partitions), -1):
            return False
        ranks, rank = self._ranks.setdefault(state.item, {}), (state.term, state.input)
        if rank < ranks.get(state.user, rank):
            return False
        ranks[state.user] = rank
        parts = self._parts.setdefault(state.item, {})
        before = parts.get(state.user)
        if state.vector is None or state.weight is None or state.target is None or len(state.vector) != self._features:
            return parts.pop(state.user, None) is not None
        strength = self._objective.strength_of(state.weight, state.target)
        parts[state.user] = strength, state.vector
        return before is None or before[0] != strength or not np.array_equal(before[1], state.vector)

    def end(self, said: AllSaid) -> list[str]:
        """Leave out what a partition's users said with a lower term; return the items that had it."""
        if said.term <= self._ended.get(said.partition, -1):
            return []
        self._ended[said.partition] = said.term
        touched = []
        for item, ranks in self._ranks.items():
            gone = [
                user
                for user, (term, _) in ranks.items()
                if term < said.term and partition_of(user, self._partitions) == said.partition
            ]
            for user in gone:
                del ranks[user]
            parts = self._parts.get(item, {})
            counted = [parts.pop(user, None) is not None for user in gone]
            if any(counted):
                touched.append(item)
        return touched

    def of(self, item: str) -> Iterable[tuple[str, float, NDArray[np.float32]]]:
        """Iterate over an item's users, by ID, with strength and vector."""
        for user, (strength, vector) in sorted(self._parts.get(item, {}).items()):
            yield user, strength, vector

    def weight(self, item: str) -> int:
        """Return of how many users an item has a part."""
        return len(self._parts.get(item, ()))

    def __len__(self) -> int:
        """How many pairs there are."""
        return sum(map(len, self._parts.values()))
