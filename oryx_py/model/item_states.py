"""The states of new items' users, as the item topic has them: the newest of each pair, whatever came before."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from oryx_py.messages import partition_of
from oryx_py.messages.item_state import AllSaid, ItemState
from oryx_py.numerics.objective import Objective

__all__ = ["ItemStates", "StateRows"]


@dataclass(frozen=True, slots=True, eq=False)
class StateRows:
    """What is known of n pairs of a new item and a user, as arrays.

    ``items`` and ``users``: IDs. ``terms`` int64[n], -1 for none, and ``inputs`` int64[n] say what is newer.
    ``strengths`` float64[n], NaN where the pair does not count (any more), and ``vectors`` float32[n, k], zeros there.
    """

    items: Sequence[str]
    users: Sequence[str]
    terms: NDArray[np.int64]
    inputs: NDArray[np.int64]
    strengths: NDArray[np.float64]
    vectors: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.items)


Part = tuple[float, NDArray[np.float32]]
"""Strength and the user's vector, float32[k]."""


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
        self._parts: dict[str, dict[str, Part]] = {}
        """Strength and the user's vector, of those that count."""
        self._items_of: dict[int, dict[str, dict[str, None]]] = {}
        """By input partition and user the items of which he has said something: what ends with a partition's owner."""
        self._count = self._known = 0
        """Of the pairs that count, and of all of which something was said."""
        self._ended: dict[int, int] = {}
        """By input partition: below this term nothing counts."""
        self._highest_ended = -1

    def put(self, state: ItemState) -> bool:
        """Take a user's state in; say whether the item's system may be another now."""
        if not self._rank(state.item, state.user, (state.term, state.input)):
            return False
        if state.vector is None or state.weight is None or state.target is None or len(state.vector) != self._features:
            return self._set(state.item, state.user, None)
        return self._set(
            state.item, state.user, (self._objective.strength_of(state.weight, state.target), state.vector)
        )

    def end(self, said: AllSaid) -> list[str]:
        """Leave out what a partition's users said with a lower term; return the items that had it."""
        if said.term <= self._ended.get(said.partition, -1):
            return []
        self._ended[said.partition] = said.term
        self._highest_ended = max(said.term, self._highest_ended)
        touched: dict[str, None] = {}
        users = self._items_of.get(said.partition, {})
        for user, items in list(users.items()):
            gone = [item for item in items if self._ranks[item][user][0] < said.term]
            for item in gone:
                del self._ranks[item][user], items[item]
                if self._set(item, user, None):
                    touched[item] = None
            self._known -= len(gone)
            if not items:
                del users[user]
        return list(touched)

    @property
    def ended(self) -> Mapping[int, int]:
        """By input partition: what its users were said to say with a lower term than this does not count."""
        return MappingProxyType(self._ended)

    def dump(self) -> StateRows:
        """Return every pair's newest state, also of pairs that are gone: what is older must not bring them back."""
        keys = [(item, user) for item, ranks in self._ranks.items() for user in ranks]
        ranks = [self._ranks[item][user] for item, user in keys]
        parts = [self._parts.get(item, {}).get(user) for item, user in keys]
        vectors = np.zeros((len(keys), self._features), np.float32)
        for row, part in enumerate(parts):
            if part is not None:
                vectors[row] = part[1]
        return StateRows(
            [item for item, _ in keys],
            [user for _, user in keys],
            np.array([term for term, _ in ranks], np.int64),
            np.array([offset for _, offset in ranks], np.int64),
            np.array([math.nan if part is None else part[0] for part in parts], np.float64),
            vectors,
        )

    def load(self, rows: StateRows, chosen: Iterable[int]) -> set[str]:
        """Take in those of the rows that another dumped which were chosen; return their items."""
        ranks = list(zip(rows.terms.tolist(), rows.inputs.tolist(), strict=True))
        strengths = rows.strengths.tolist()
        taken = set()
        for row in chosen:
            item, user, strength = rows.items[row], rows.users[row], strengths[row]
            part = None if strength != strength else (strength, rows.vectors[row])
            if self._rank(item, user, ranks[row]):
                self._set(item, user, part)
                taken.add(item)
        return taken

    def of(self, item: str) -> Iterable[tuple[str, float, NDArray[np.float32]]]:
        """Iterate over an item's users, by ID, with strength and vector."""
        for user, (strength, vector) in sorted(self._parts.get(item, {}).items()):
            yield user, strength, vector

    def weight(self, item: str) -> int:
        """Return of how many users an item has a part."""
        return len(self._parts.get(item, ()))

    def __len__(self) -> int:
        """How many pairs there are."""
        return self._count

    @property
    def nbytes(self) -> int:
        """About how many bytes this holds: the vectors, and names, ranks and places by their usual size."""
        return self._count * (4 * self._features + 200) + self._known * 350

    def _rank(self, item: str, user: str, rank: tuple[int, int]) -> bool:
        """Note what is said of a pair now, if nothing newer was; say whether."""
        home = -1
        if rank[0] < self._highest_ended:
            home = partition_of(user, self._partitions)
            if rank[0] < self._ended.get(home, -1):
                return False
        ranks = self._ranks.setdefault(item, {})
        if rank < ranks.get(user, rank):
            return False
        if user not in ranks:
            home = partition_of(user, self._partitions) if home < 0 else home
            self._items_of.setdefault(home, {}).setdefault(user, {})[item] = None
            self._known += 1
        ranks[user] = rank
        return True

    def _set(self, item: str, user: str, part: Part | None) -> bool:
        """Set or remove a user's part; say whether that changes anything."""
        parts = self._parts.setdefault(item, {})
        before = parts.pop(user, None)
        self._count += (part is not None) - (before is not None)
        if part is None:
            return before is not None
        parts[user] = part
        return before is None or before[0] != part[0] or not np.array_equal(before[1], part[1])
