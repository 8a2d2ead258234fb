"""The states of new items' users, as the item topic has them: the newest of each pair, whatever came before."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import xxhash
from numpy.typing import NDArray

from oryx_py.messages import partition_of
from oryx_py.messages.item_state import AllSaid, ItemState
from oryx_py.numerics.objective import Objective

__all__ = ["GonePairs", "ItemStates", "StateRows"]


@dataclass(frozen=True, slots=True, eq=False)
class GonePairs:
    """n pairs that are gone, of which what is older must not bring them back, named by a hash alone.

    ``hashes`` uint64[n, 2] of both IDs; ``terms`` int64[n], -1 for none, and ``inputs`` int64[n], as of `StateRows`;
    ``user_homes`` and ``item_homes`` int32[n]: the partitions that both are in.
    """

    hashes: NDArray[np.uint64]
    terms: NDArray[np.int64]
    inputs: NDArray[np.int64]
    user_homes: NDArray[np.int32]
    item_homes: NDArray[np.int32]

    @classmethod
    def none(cls) -> "GonePairs":
        """Return those of nothing."""
        return cls.of([])

    @classmethod
    def of(cls, rows: Sequence[tuple[bytes, int, int, int, int]]) -> "GonePairs":
        """Return rows as columns; the hashes are digests."""
        digests, *numbers = zip(*rows, strict=True) if rows else ((), (), (), (), ())
        hashes = np.frombuffer(b"".join(digests), ">u8").astype(np.uint64).reshape(-1, 2)
        terms, inputs, user_homes, item_homes = (np.array(column, np.int64) for column in numbers)
        return cls(hashes, terms, inputs, user_homes.astype(np.int32), item_homes.astype(np.int32))

    def rows(self) -> Iterable[tuple[bytes, int, int, int, int]]:
        """Iterate over the columns' rows."""
        raw = self.hashes.astype(">u8").tobytes()
        digests = [raw[at : at + 16] for at in range(0, len(raw), 16)]
        numbers = (column.tolist() for column in (self.terms, self.inputs, self.user_homes, self.item_homes))
        return zip(digests, *numbers, strict=True)


@dataclass(frozen=True, slots=True, eq=False)
class StateRows:
    """What is known of n pairs of a new item and a user, as arrays, and of those that are gone.

    ``items`` and ``users``: IDs. ``terms`` int64[n], -1 for none, and ``inputs`` int64[n] say what is newer.
    ``strengths`` float64[n] and ``vectors`` float32[n, k]; before format 1.2 of checkpoints NaN and zeros where a pair
    is gone.
    """

    items: Sequence[str]
    users: Sequence[str]
    terms: NDArray[np.int64]
    inputs: NDArray[np.int64]
    strengths: NDArray[np.float64]
    vectors: NDArray[np.float32]
    gone: GonePairs = field(default_factory=GonePairs.none)

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
        """Term and input of the pairs that count."""
        self._parts: dict[str, dict[str, Part]] = {}
        """Strength and the user's vector, of the same."""
        self._items_of: dict[int, dict[str, dict[str, None]]] = {}
        """By input partition and user the items of which he has said something: what ends with a partition's owner."""
        self._gone: dict[int, dict[bytes, tuple[int, int, int]]] = {}
        """By input partition and pair, as a hash, term and input of what is gone, and the item's partition.

        What is older must not bring it back, and nobody who is forgotten need be named for that.
        """
        self._count = 0
        self._ended: dict[int, int] = {}
        """By input partition: below this term nothing counts."""
        self._highest_ended = -1

    def put(self, state: ItemState) -> bool:
        """Take a user's state in; say whether the item's system may be another now."""
        part = None
        if state.vector is not None and state.weight is not None and state.target is not None:
            part = self._objective.strength_of(state.weight, state.target), state.vector
        return bool(self._put(state.item, state.user, (state.term, state.input), part))

    def end(self, said: AllSaid) -> list[str]:
        """Leave out what a partition's users said with a lower term; return the items that had it."""
        if said.term <= self._ended.get(said.partition, -1):
            return []
        self._ended[said.partition] = said.term
        self._highest_ended = max(said.term, self._highest_ended)
        gone = self._gone.get(said.partition)
        if gone is not None:
            self._gone[said.partition] = {pair: rank for pair, rank in gone.items() if rank[0] >= said.term}
        touched: dict[str, None] = {}
        for user, items in list(self._items_of.get(said.partition, {}).items()):
            for item in [item for item in items if self._ranks[item][user][0] < said.term]:
                self._remove(item, user, said.partition)
                touched[item] = None
        return list(touched)

    @property
    def ended(self) -> Mapping[int, int]:
        """By input partition: what its users were said to say with a lower term than this does not count."""
        return MappingProxyType(self._ended)

    def dump(self) -> StateRows:
        """Return every pair's newest state."""
        keys = [(item, user) for item, parts in self._parts.items() for user in parts]
        ranks = [self._ranks[item][user] for item, user in keys]
        parts = [self._parts[item][user] for item, user in keys]
        vectors = np.zeros((len(keys), self._features), np.float32)
        for row, (_, vector) in enumerate(parts):
            vectors[row] = vector
        gone = [(pair, *rank[:2], home, rank[2]) for home, pairs in self._gone.items() for pair, rank in pairs.items()]
        return StateRows(
            [item for item, _ in keys],
            [user for _, user in keys],
            np.array([term for term, _ in ranks], np.int64),
            np.array([offset for _, offset in ranks], np.int64),
            np.array([strength for strength, _ in parts], np.float64),
            vectors,
            GonePairs.of(gone),
        )

    def load(self, rows: StateRows, chosen: Iterable[int], items: Collection[int], users: Collection[int]) -> set[str]:
        """Take in those of the rows that another dumped which were chosen; return their items.

        Of the pairs that are gone, those of items in the partitions ``items`` and of users in the partitions ``users``.
        """
        ranks = list(zip(rows.terms.tolist(), rows.inputs.tolist(), strict=True))
        strengths = rows.strengths.tolist()
        taken = set()
        for row in chosen:
            item, user, strength = rows.items[row], rows.users[row], strengths[row]
            part = None if strength != strength else (strength, rows.vectors[row])
            if self._put(item, user, ranks[row], part) is not None:
                taken.add(item)
        for pair, term, offset, user_home, item_home in rows.gone.rows():
            if item_home in items and user_home in users and term >= self._ended.get(user_home, -1):
                known = self._gone.setdefault(user_home, {})
                if (term, offset) > known.get(pair, (-2, -1, -1))[:2]:
                    known[pair] = term, offset, item_home
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
        return self._count * (4 * self._features + 550) + 250 * sum(map(len, self._gone.values()))

    def _put(self, item: str, user: str, rank: tuple[int, int], part: Part | None) -> bool | None:
        """Note what is said of a pair; say whether the item's system may be another, None where something newer was."""
        if part is not None and len(part[1]) != self._features:
            part = None
        known, home = self._ranks.get(item, {}).get(user), -1
        if known is None or rank[0] < self._highest_ended:
            home = partition_of(user, self._partitions)
            if rank[0] < self._ended.get(home, -1):
                return None
        pair = b""
        if known is None and home in self._gone:
            pair = _hash_of(item, user)
            known = self._gone[home].get(pair, (-2, -1))[:2]
        if known is not None and rank < known:
            return None
        before = self._parts.get(item, {}).get(user)
        if part is None:
            home = partition_of(user, self._partitions) if home < 0 else home
            if before is not None:
                self._remove(item, user, home)
            self._gone.setdefault(home, {})[pair or _hash_of(item, user)] = *rank, partition_of(item, self._partitions)
            return before is not None
        if before is None:
            self._items_of.setdefault(home, {}).setdefault(user, {})[item] = None
            self._count += 1
            if pair:
                self._gone[home].pop(pair, None)
        self._ranks.setdefault(item, {})[user] = rank
        self._parts.setdefault(item, {})[user] = part
        return before is None or before[0] != part[0] or not np.array_equal(before[1], part[1])

    def _remove(self, item: str, user: str, home: int) -> None:
        """Let a pair that counts count no more, of a user in a partition."""
        for of_item in (self._ranks, self._parts):
            del of_item[item][user]
            if not of_item[item]:
                del of_item[item]
        del self._items_of[home][user][item]
        if not self._items_of[home][user]:
            del self._items_of[home][user]
        self._count -= 1


def _hash_of(item: str, user: str) -> bytes:
    return xxhash.xxh3_128_digest(b"%b\0%b" % (item.encode(), user.encode()))  # no ID has a control character
