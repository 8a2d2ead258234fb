"""The exact fold of a micro-batch into an epoch's state, by the levels of the consistency rules.

Without feedback from lower levels to higher ones, the result is a function of the folded histories alone:

0. items of the generation keep their vectors;
1. a user with at least one of them is solved from those alone;
2. a new item is solved from the vectors of its users of level 1;
3. a user with none of level 0 is solved from the new items that have a vector.

In every system n counts only the pairs of its own sum. An item forgotten in this epoch counts as new.
"""

from collections.abc import Callable, Iterable

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from oryx_py.events import Interaction, InteractionColumns
from oryx_py.messages import ItemGone, ItemVector, Update, UserVector
from oryx_py.messages.blocks import Updates, UserVectors, expanded
from oryx_py.messages.item_state import AllSaid, ItemState
from oryx_py.model.state import ModelState
from oryx_py.numerics.cg import chunks
from oryx_py.numerics.fold_in import Prior
from oryx_py.numerics.objective import Objective
from speed_layer.batch_messages import block_of, gone_from, without_vector
from speed_layer.budget import Budget
from speed_layer.levels import level_sets
from speed_layer.share import Share, states_of
from speed_layer.solving import UserSolver
from speed_layer.waiting import MicroBatch, Waiting, nothing_but

__all__ = ["EpochFold", "NewSolver"]

Handles = NDArray[np.int64]
SLICE_PAIRS = 1 << 17
"""Pairs of users' histories that are looked at together: many for the steps in Python, and few for the caches."""
NewSolver = Callable[[NDArray[np.float32], Prior, Objective], UserSolver]


class EpochFold:
    """Folds interactions into one epoch's state and says what to publish of it.

    The only one to change `state`, which it does through the messages that it returns, by the same fold as every
    reader of the update topic.

    What a micro-batch's own records touch is solved with it: its users, and the new items that it names. What follows
    from that for others (new items whose users moved, users of level 3 whose items moved) is *stale*: coalesced in the
    order in which it became so, and worked off within a budget a step, so that nobody's interaction waits for it.

    Args:
        state: the epoch's state, as the generation has it or as an earlier fold left it.
        partitions: partitions of the input topic.
        new_solver: makes what solves users, given the generation's item factors, their prior and the objective.
        share: what of it is this fold's, which then also says what other folds have to know of items; None: all, and
            there are none.
    """

    def __init__(
        self,
        state: ModelState,
        partitions: int,
        new_solver: NewSolver = UserSolver,
        share: Share | None = None,
    ) -> None:
        self._share = share
        self._elsewhere: set[int] = set()
        """Items of which another process has said that they are forgotten."""
        generation = state.generation
        self.state = state
        self._items_prior = Prior(gram=generation.item_gram, rows=len(generation.items), of="items")
        self.solver = new_solver(state.item_vectors.base, self._items_prior, generation.manifest.objective)
        """Solves users, and whatever else there is to solve."""
        self._users_prior = Prior(gram=generation.user_gram, rows=len(generation.users), of="users")
        self._waiting = Waiting(state, partitions)
        # By item of level 2: the users who know it; and the users of level 3.
        self._holders, self._level3 = level_sets(state)
        # A state that was left by another, as a checkpoint has it, does not say what of it was stale.
        self._stale_items: dict[int, None] = dict.fromkeys(self._holders)
        self._stale_users: dict[int, None] = dict.fromkeys(sorted(self._level3))

    @property
    def pending(self) -> int:
        """How many interactions, at most, wait for a flush."""
        return len(self._waiting)

    @property
    def stale(self) -> int:
        """How many items and users are to be solved again for what others did."""
        return len(self._stale_items) + len(self._stale_users)

    @property
    def nbytes(self) -> int:
        """About how many bytes the state and the solver's systems take, beside the generation's files."""
        return self.state.nbytes + self.solver.nbytes

    def add(self, interaction: Interaction, partition: int, offset: int, kafka_ms: int = -1) -> None:
        """Fold one interaction; nothing is solved before `step`."""
        self._waiting.add(interaction, partition, offset, kafka_ms)

    def add_many(
        self, interactions: InteractionColumns, partitions: Handles, offsets: Handles, kafka_ms: Handles
    ) -> None:
        """Fold interactions; nothing is solved before `step`."""
        self._waiting.add_many(interactions, partitions, offsets, kafka_ms)

    def flush(self, max_users: int | None = None) -> list[Update]:
        """Do a `step` without a budget; return its messages one by one."""
        return list(expanded(self.step(max_users)))

    def step(self, max_users: int | None = None, budget: Budget | None = None) -> list[Updates]:
        """Solve what was touched, apply it to the state, and return the messages in the order to send.

        Args:
            max_users: at most so many users; the rest stays pending. None for all.
            budget: for what is stale, which is left alone as long as something is pending, and as much again for the
                new items that the records name. None for all of it.
        """
        updates: list[Updates] = []
        budget = budget or Budget()
        if self._elsewhere:
            forgotten, self._elsewhere = frozenset(self._elsewhere), set()
            self._fold(nothing_but(forgotten), budget.again(), updates)
        if self._waiting:
            self._fold(self._waiting.take(max_users), budget.again(), updates)
        if not self._waiting:
            self._work_off(budget, updates)
        return updates

    def resend(self) -> list[Updates]:
        """Return once more every vector of levels 2 and 3, for readers that may have missed some."""
        state = self.state
        updates: list[Updates] = []
        for item in self._holders:
            name = state.items.id(item)
            if not self._owns(name):
                continue
            if self._share is not None and item in state.forgotten_items:
                # The forget may have come of another partition, whose owner has seen it before it was sent.
                updates.append(ItemGone(name, state.epoch))
            updates.append(ItemVector(item=name, vector=state.item_vector(item), users=(), epoch=state.epoch))
        updates += [self._message(user, state.user_vector(user)) for user in sorted(self._level3)]
        if self._share is not None:
            for item in self._holders:
                updates += self._said_of(item, self._holders[item] - self._level3)
        return updates

    def all_said(self) -> list[Updates]:
        """Return that all is said that the users of these partitions say of new items."""
        share = self._share
        return [] if share is None else [AllSaid(p, self.state.epoch) for p in sorted(share.owned)]

    def hear_state(self, said: ItemState | AllSaid) -> None:
        """Take in what another user's owner says of an item; solved again in a later `step`."""
        share = self._share
        if share is None or said.epoch != self.state.epoch:
            return
        if isinstance(said, AllSaid):
            for name in share.foreign.end(said):
                self._disturb(name)
        elif said.forgets:
            self._hear_forget(said.item)
        elif not share.owns(said.user) and share.foreign.put(said):
            self._disturb(said.item)

    def hear_item(self, said: ItemVector | ItemGone, update_partition: int) -> None:
        """Take in what an item's owner has sent; users of level 3 who know the item are stale."""
        if said.epoch != self.state.epoch or self._owns(said.item):
            return
        if isinstance(said, ItemGone):
            self._hear_forget(said.item)
            said = ItemVector(said.item, None, (), said.epoch, said.item_input, said.term)
        item = self.state.items.intern(said.item)
        if self.state.apply(said, update_partition):
            self._stale_users |= dict.fromkeys(sorted(self._holders.get(item, set()) & self._level3))

    def release(self, partition: int, term: int) -> None:
        """Let go of a partition: its users are another's from now on, and so are its items.

        What was known of its users counts as said with this term, until others say more.
        """
        share, state = self._share, self.state
        assert share is not None
        share.owned.discard(partition)
        for item, holders in self._holders.items():
            gone = {user for user in holders if not share.owns(state.users.id(user))}
            holders -= gone
            for said in self._said_of(item, gone - self._level3):
                share.foreign.put(replace(said, term=term))
        self._level3 = share.own_users(state, self._level3)
        self._stale_users = {user: None for user in self._stale_users if user in self._level3}
        self._waiting.drop(partition)

    def _said_of(self, item: int, users: set[int]) -> list[ItemState]:
        """Return what users of level 1 say of an item."""
        state, fed = self.state, np.array(sorted(users), np.int64)
        strengths = state.histories.strengths(fed, np.full(len(fed), item, np.int64))
        pairs = np.arange(len(fed)), np.full(len(fed), item, np.int64), strengths
        return states_of(state, fed, self._inputs_of(fed), np.ones(len(fed), np.bool_), pairs)

    def _disturb(self, name: str) -> None:
        item = self.state.items.intern(name)
        self._holders.setdefault(item, set())
        if item >= self.state.items.base or item in self.state.forgotten_items:
            self._stale_items[item] = None

    def _hear_forget(self, name: str) -> None:
        item = self.state.items.intern(name)
        if item not in self.state.forgotten_items:
            self._elsewhere.add(item)

    def _owns(self, name: str) -> bool:
        return self._share is None or self._share.owns(name)

    def _inputs_of(self, users: Handles) -> Handles:
        """Return int64[n]: the offset of each one's newest interaction, 0 where the epoch has had none."""
        return np.array([self.state.user_input(user) or 0 for user in users.tolist()], np.int64)

    def _fold(self, batch: MicroBatch, budget: Budget, updates: list[Updates]) -> None:
        for removal in gone_from(self.state, batch):
            self._publish(removal, updates)
        disturbed = self._forget_items(batch, updates)
        owners = batch.owners()
        new = ~self._is_level0(batch.items)
        if self._share is not None:
            gone = new & np.isnan(batch.strengths)
            pairs = owners[gone], batch.items[gone], batch.strengths[gone]
            updates += states_of(self.state, batch.users, batch.inputs, np.zeros(len(batch), np.bool_), pairs)
        self._track_holders(batch.users[owners[new]], batch.items[new], batch.strengths[new])
        known = ~np.isnan(batch.strengths)
        # Before they are sent: the systems are gathered from the histories.
        self.state.histories.put_many(batch.users[owners[known]], batch.items[known], batch.strengths[known])
        touched = self._solve_users(batch, np.setdiff1d(disturbed, batch.users), updates)
        self._solve_items(budget.affordable(touched.tolist(), self._weight), updates)
        self._solve_level3(batch, updates)

    def _is_level0(self, items: Handles) -> NDArray[np.bool_]:
        level0: NDArray[np.bool_] = items < self.state.items.base
        forgotten = self.state.forgotten_items
        return level0 & ~np.isin(items, list(forgotten)) if forgotten else level0

    def _publish(self, update: Update | UserVectors, updates: list[Updates]) -> None:
        if isinstance(update, UserVectors):
            self.state.apply_users(update, knows_pairs=True)  # from `_fold`
        else:
            self.state.apply(update)
        updates.append(update)

    def _message(self, user: int, vector: NDArray[np.float32] | None) -> UserVector:
        """Return a user's vector that answers no record."""
        state = self.state
        return UserVector(state.users.id(user), vector, epoch=state.epoch, input=state.user_input(user))

    def _forget_items(self, batch: MicroBatch, updates: list[Updates]) -> Handles:
        """Publish the items forgotten for the first time; return the users to be solved again for it."""
        disturbed: set[int] = set()
        share = self._share
        if share is not None:  # whoever else has heard of it already
            forgotten = self.state.items.ids(np.array(sorted(batch.forgotten_items), np.int64))
            updates += [ItemState(name, "", self.state.epoch, 0) for name in forgotten]
        for item in sorted(batch.forgotten_items - self.state.forgotten_items):
            name = self.state.items.id(item)
            if self._owns(name):
                self._publish(ItemGone(name, self.state.epoch), updates)
            else:
                self.state.apply(ItemGone(name, self.state.epoch))
            users = self.state.histories.users_of(item)
            self._holders[item] = set(users) if share is None else share.own_users(self.state, users)
            disturbed |= self._holders[item]
            if share is not None and share.foreign.weight(name):
                self._stale_items[item] = None
        return np.array(sorted(disturbed), np.int64)

    def _track_holders(self, users: Handles, items: Handles, strengths: NDArray[np.float64]) -> None:
        for user, item, strength in zip(users.tolist(), items.tolist(), strengths.tolist(), strict=True):
            holders = self._holders.setdefault(item, set())
            if strength != strength:  # NaN: not known
                holders.discard(user)
            else:
                holders.add(user)

    def _solve_users(self, batch: MicroBatch, disturbed: Handles, updates: list[Updates]) -> Handles:
        """Solve and publish the users of level 1, and sort all users by levels.

        Returns the batch's own new items whose systems changed, ascending; others that did are stale from now on.
        """
        users = np.concatenate([batch.users, disturbed])
        level1, feeds = np.zeros(len(users), np.bool_), np.zeros(len(users), np.bool_)
        vectors: list[NDArray[np.float32]] = []
        theirs: set[int] = set()
        told: list[tuple[Handles, Handles, NDArray[np.float64]]] = []
        starts = np.zeros(len(users) + 1, np.int64)
        np.cumsum(self.state.histories.activity(len(self.state.users))[users], out=starts[1:])
        forgotten = np.array(sorted(self.state.forgotten_items), np.int64)
        for part in chunks(starts, SLICE_PAIRS):
            level0, others = self.state.histories.split(users[part], self.state.items.base, forgotten)
            indptr, items, strengths = level0
            knows = np.diff(starts[part.start : part.stop + 1]) > 0
            some = np.diff(indptr) > 0
            fed_before = self._move_levels(users[part], some, knows)
            level1[part], feeds[part] = some, fed_before | some | ~knows
            if len(others[1]):
                owners = np.repeat(np.arange(part.start, part.stop), np.diff(others[0]))
                if self._share is not None:
                    told.append((owners, others[1].astype(np.int64), others[2]))
                theirs.update(others[1][feeds[owners]].tolist())
            if some.all():
                vectors.append(self.solver.solve(users[part], indptr, items, strengths))
            elif some.any():
                kept = np.append(indptr[:-1][some], indptr[-1])
                vectors.append(self.solver.solve(users[part][some], kept, items, strengths))
        fallen = ~level1 & (np.diff(starts) > 0) & (np.arange(len(users)) >= len(batch))  # the batch's own come next
        self._stale_users |= dict.fromkeys(users[fallen].tolist())
        if vectors:
            at = np.flatnonzero(level1)
            places = at[at < len(batch)]
            block = block_of(self.state, batch, places, users[at[len(places) :]], np.concatenate(vectors))
            self._publish(block, updates)
        if told:
            inputs = np.concatenate([batch.inputs, self._inputs_of(disturbed)])
            owners, new, strengths = (np.concatenate(column) for column in zip(*told, strict=True))
            updates += states_of(self.state, users, inputs, level1, (owners, new, strengths))
        owners = batch.owners()
        touched = np.unique(batch.items[~self._is_level0(batch.items) & feeds[owners]])
        self._stale_items |= dict.fromkeys(sorted(theirs.difference(touched.tolist())))
        return touched

    def _move_levels(self, users: Handles, level1: NDArray[np.bool_], knows: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Note who is of level 3 now; return bool[n]: who was not."""
        level3 = self._level3
        fed_before = np.ones(len(users), np.bool_)
        if level3:
            fed_before = np.fromiter((user not in level3 for user in users.tolist()), np.bool_, len(users))
            level3.difference_update(users[~fed_before].tolist())
        level3.update(users[~level1 & knows].tolist())
        for user in users[~fed_before & (level1 | ~knows)].tolist():
            self._stale_users.pop(user, None)
        return fed_before

    def _weight(self, item: int) -> int:
        own = len(self._holders.get(item, ()))
        return own if self._share is None else own + self._share.foreign.weight(self.state.items.id(item))

    def _solve_items(self, parts: tuple[list[int], Iterable[int]], updates: list[Updates]) -> None:
        """Solve and publish items of level 2, and leave the second part for later; users who follow are stale."""
        state = self.state
        items, later = parts
        self._stale_items |= dict.fromkeys(later)
        for item in [item for item in items if not self._owns(state.items.id(item))]:
            self._stale_items.pop(item, None)
            items.remove(item)
        if not items:
            return
        feeding = [sorted(self._holders.get(item, set()) - self._level3) for item in items]
        indptr = np.concatenate([[0], np.cumsum([len(users) for users in feeding], dtype=np.int64)])
        holders = np.array([user for users in feeding for user in users], np.int64)
        strengths = state.histories.strengths(holders, np.repeat(np.array(items, np.int64), np.diff(indptr)))
        users, rows = np.unique(holders, return_inverse=True)
        factors = state.user_vectors.gather(users)
        if self._share is not None and len(self._share.foreign):
            names = state.items.ids(np.array(items, np.int64))
            indptr, rows, strengths, factors = self._share.joined(names, indptr, rows, strengths, factors)
        vectors = self.solver.solve_with(indptr, rows, strengths, factors, self._users_prior)
        for item, vector, count in zip(items, vectors, np.diff(indptr).tolist(), strict=True):
            self._stale_items.pop(item, None)
            new = vector if count else None
            if new is not None or state.item_vector(item) is not None:
                self._publish(ItemVector(state.items.id(item), new, (), state.epoch), updates)
                followers = self._holders[item] & self._level3
                self._stale_users |= dict.fromkeys(sorted(followers))

    def _solve_level3(self, batch: MicroBatch, updates: list[Updates]) -> None:
        """Publish the batch's users without an item of the generation."""
        unsolved = np.flatnonzero(self.state.histories.activity(len(self.state.users))[batch.users] == 0)
        alone = self._level3.intersection(batch.users.tolist())
        if alone:
            users = np.array(sorted(alone), np.int64)
            places = np.searchsorted(batch.users, users)
            vectors, solved = self._vectors3(users)
            unsolved = np.union1d(places[~solved], unsolved)
            chosen = np.flatnonzero(solved)
            if len(chosen):
                block = block_of(self.state, batch, places[chosen], np.empty(0, np.int64), vectors[chosen])
                self._publish(block, updates)
            for user in alone:
                self._stale_users.pop(user, None)
        for at in unsolved.tolist():
            self._publish(without_vector(self.state, batch, at), updates)

    def _vectors3(self, users: Handles) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return float32[n, k], users of level 3 solved from the new items with a vector, and bool[n], who has one."""
        state = self.state
        indptr, items, strengths = state.histories.gather(users)
        usable = state.item_vectors.has(items)
        before = np.concatenate([[0], np.cumsum(usable)])
        distinct, rows = np.unique(items[usable], return_inverse=True)
        factors = state.item_vectors.gather(distinct)
        starts = before[indptr]
        vectors = self.solver.solve_with(starts, rows, strengths[usable], factors, self._items_prior)
        return vectors, np.diff(starts) > 0

    def _work_off(self, budget: Budget, updates: list[Updates]) -> None:
        """Solve stale items, and then stale users, the longest waiting first, until the budget is used."""
        while self._stale_items and not budget.spent:
            some, _ = budget.affordable(self._stale_items, self._weight)
            self._solve_items((some, []), updates)
        while self._stale_users and not self._stale_items and not budget.spent:
            some, _ = budget.affordable(self._stale_users, lambda _: 1)
            for user in some:
                del self._stale_users[user]
            users = np.array([user for user in some if user in self._level3], np.int64)
            vectors, solved = self._vectors3(users)
            for user, vector, has_one in zip(users.tolist(), vectors, solved, strict=True):
                self._publish(self._message(user, vector if has_one else None), updates)
