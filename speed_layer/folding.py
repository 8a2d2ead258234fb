"""The exact fold of a micro-batch into an epoch's state, by the levels of the consistency rules.

Without feedback from lower levels to higher ones, the result is a function of the folded histories alone:

0. items of the generation keep their vectors;
1. a user with at least one of them is solved from those alone;
2. a new item is solved from the vectors of its users of level 1;
3. a user with none of level 0 is solved from the new items that have a vector.

In every system n counts only the pairs of its own sum. An item forgotten in this epoch counts as new.
"""

from collections.abc import Iterable, Mapping

import numpy as np

from oryx_py.events import Interaction
from oryx_py.messages import ItemGone, ItemVector, Update
from oryx_py.model.state import ModelState
from oryx_py.numerics.fold_in import Prior
from speed_layer.batch_updates import removals, user_update
from speed_layer.levels import level_sets
from speed_layer.pending import Pending
from speed_layer.systems import History, solve

__all__ = ["EpochFold"]


class EpochFold:
    """Folds interactions into one epoch's state and says what to publish of it.

    The only one to change `state`, which it does through the messages that it returns, by the same fold as every
    reader of the update topic.

    Args:
        state: the epoch's state, as the generation has it or as an earlier fold left it.
        partitions: partitions of the input topic.
    """

    def __init__(self, state: ModelState, partitions: int) -> None:
        generation = state.generation
        self.state = state
        self._objective = generation.manifest.objective
        self._partitions = partitions
        self._items_prior = Prior(gram=generation.item_gram, rows=len(generation.items), of="items")
        self._users_prior = Prior(gram=generation.user_gram, rows=len(generation.users), of="users")
        self._pending = self._nothing()
        # By item of level 2: the users who know it; and the users of level 3.
        self._holders, self._level3 = level_sets(state)

    @property
    def pending(self) -> int:
        """How many users wait for a flush."""
        return len(self._pending)

    def add(self, interaction: Interaction, partition: int, offset: int, kafka_ms: int = -1) -> None:
        """Fold one interaction; nothing is solved before `flush`."""
        self._pending.add(interaction, partition, offset, kafka_ms)

    def flush(self, max_users: int | None = None) -> list[Update]:
        """Solve what was touched, apply it to the state, and return the messages in the order to send.

        Args:
            max_users: at most so many users; the rest stays pending. None for all.
        """
        if not self._pending:
            return []
        if max_users is None or len(self._pending) <= max_users:
            batch, self._pending = self._pending, self._nothing()
        else:
            batch = self._pending.take(max_users)
        updates: list[Update] = []
        for removal in removals(self.state, batch):
            self._publish(removal, updates)
        disturbed = self._forget_items(batch, updates)
        self._track_holders(batch)
        users = [*batch.pairs, *(user for user in disturbed if user not in batch.pairs)]
        known = {user: self._history(batch, user) for user in users}
        dirty = self._solve_level1(batch, known, updates)
        moved = self._solve_items(dirty, updates)
        self._solve_level3(batch, known, moved, updates)
        return updates

    def resend(self) -> list[Update]:
        """Return once more every vector of levels 2 and 3, for readers that may have missed some."""
        state = self.state
        updates: list[Update] = [
            ItemVector(item=state.items.id(item), vector=state.item_vector(item), users=(), epoch=state.epoch)
            for item in self._holders
        ]
        nothing = self._nothing()
        updates += [user_update(state, nothing, user, state.user_vector(user)) for user in sorted(self._level3)]
        return updates

    def _nothing(self) -> Pending:
        return Pending(self.state, self._partitions)

    def _is_level0(self, item: int) -> bool:
        return item < self.state.items.base and item not in self.state.forgotten_items

    def _publish(self, update: Update, updates: list[Update]) -> None:
        self.state.apply(update)
        updates.append(update)

    def _forget_items(self, batch: Pending, updates: list[Update]) -> list[int]:
        """Publish the items forgotten for the first time; return the users to be solved again for it."""
        disturbed: list[int] = []
        for item in sorted(batch.forgotten_items - self.state.forgotten_items):
            self._publish(ItemGone(self.state.items.id(item), self.state.epoch), updates)
            self._holders[item] = set(self.state.histories.users_of(item))
            disturbed += self._holders[item]
        return sorted(set(disturbed))

    def _track_holders(self, batch: Pending) -> None:
        for user, pairs in batch.pairs.items():
            for item, strength in pairs.items():
                if self._is_level0(item):
                    continue
                holders = self._holders.setdefault(item, set())
                if strength is None:
                    holders.discard(user)
                else:
                    holders.add(user)

    def _solve_level1(self, batch: Pending, known: Mapping[int, History], updates: list[Update]) -> set[int]:
        """Solve and publish the users of level 1; return the new items whose systems changed."""
        dirty: set[int] = set()
        level1: list[int] = []
        histories: list[History] = []
        for user, (items, strengths) in known.items():
            from_generation = np.fromiter(map(self._is_level0, items.tolist()), np.bool_, len(items))
            fed_before = user not in self._level3
            self._level3.discard(user)
            if from_generation.any():
                level1.append(user)
                histories.append((items[from_generation], strengths[from_generation]))
            elif len(items):
                self._level3.add(user)
            if fed_before or user not in self._level3:
                dirty.update(items[~from_generation].tolist())
                dirty.update(item for item in batch.pairs.get(user, ()) if not self._is_level0(item))
        vectors = solve(histories, self.state.item_vectors.base, self._items_prior, self._objective)
        for user, vector in zip(level1, vectors, strict=True):
            self._publish(user_update(self.state, batch, user, vector), updates)
        return dirty

    def _solve_items(self, dirty: Iterable[int], updates: list[Update]) -> list[int]:
        """Solve and publish items of level 2; return those whose vector came, changed or went."""
        state = self.state
        items = sorted(dirty)
        feeding = {item: sorted(self._holders.get(item, set()) - self._level3) for item in items}
        users = sorted(set().union(*feeding.values()))
        row = {user: at for at, user in enumerate(users)}
        histories: list[History] = [
            (
                np.array([row[user] for user in feeding[item]], np.int64),
                np.array([state.histories.strength(user, item) or 0.0 for user in feeding[item]], np.float64),
            )
            for item in items
        ]
        factors = state.user_vectors.gather(np.array(users, np.int64))
        vectors = solve(histories, factors, self._users_prior, self._objective)
        moved: list[int] = []
        for item, vector in zip(items, vectors, strict=True):
            new = vector if feeding[item] else None
            if new is not None or state.item_vector(item) is not None:
                self._publish(ItemVector(state.items.id(item), new, (), state.epoch), updates)
                moved.append(item)
        return moved

    def _solve_level3(
        self, batch: Pending, known: Mapping[int, History], moved: Iterable[int], updates: list[Update]
    ) -> None:
        """Publish the users without an item of the generation: the batch's, and those who know an item that moved."""
        state = self.state
        followers = set().union(*(self._holders[item] & self._level3 for item in moved)).difference(known)
        histories = {user: self._with_vectors(known[user]) for user in known if user in self._level3}
        histories |= {user: self._with_vectors(state.history(user)) for user in sorted(followers)}
        items = np.unique(np.concatenate([np.empty(0, np.int64), *(rows for rows, _ in histories.values())]))
        factors = state.item_vectors.gather(items)
        rows = [(np.searchsorted(items, handles), strengths) for handles, strengths in histories.values()]
        vectors = solve(rows, factors, self._items_prior, self._objective)
        for user, (handles, _), vector in zip(histories, rows, vectors, strict=True):
            self._publish(user_update(self.state, batch, user, vector if len(handles) else None), updates)
        for user, (handles, _) in known.items():
            if not len(handles):
                self._publish(user_update(self.state, batch, user, None), updates)

    def _with_vectors(self, history: History) -> History:
        items, strengths = history
        usable = self.state.item_vectors.has(items)
        return items[usable], strengths[usable]

    def _history(self, batch: Pending, user: int) -> History:
        """Return the user's folded history with the batch's pairs in it."""
        items, strengths = self.state.history(user)
        pairs = batch.pairs.get(user)
        if not pairs:
            return items, strengths
        kept = np.fromiter((item not in pairs for item in items.tolist()), np.bool_, len(items))
        added = [(item, strength) for item, strength in pairs.items() if strength is not None]
        return (
            np.concatenate([items[kept], np.array([item for item, _ in added], np.int64)]),
            np.concatenate([strengths[kept], np.array([strength for _, strength in added], np.float64)]),
        )
