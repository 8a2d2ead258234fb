"""The exact fold of a micro-batch into an epoch's state, by the levels of the consistency rules.

Without feedback from lower levels to higher ones, the result is a function of the folded histories alone:

0. items of the generation keep their vectors;
1. a user with at least one of them is solved from those alone;
2. a new item is solved from the vectors of its users of level 1;
3. a user with none of level 0 is solved from the new items that have a vector.

In every system n counts only the pairs of its own sum. An item forgotten in this epoch counts as new.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from oryx_py.events import Interaction, InteractionColumns
from oryx_py.messages import ItemGone, ItemVector, Update, UserVector
from oryx_py.messages.blocks import Updates, UserVectors, expanded
from oryx_py.messages.item_state import ItemState
from oryx_py.model.state import ModelState
from oryx_py.numerics.cg import chunks
from oryx_py.numerics.fold_in import Prior
from oryx_py.numerics.objective import Objective
from speed_layer.batch_messages import block_of, gone_from, without_vector
from speed_layer.budget import Budget
from speed_layer.higher_levels import HigherLevels
from speed_layer.levels import Levels
from speed_layer.others import Others
from speed_layer.removals import Removals
from speed_layer.share import Share, inputs_of, states_of
from speed_layer.solving import UserSolver
from speed_layer.waiting import MicroBatch, Waiting, nothing_but

__all__ = ["EpochFold", "NewSolver"]

Handles = NDArray[np.int64]
SLICE_PAIRS = 1 << 17
"""Pairs of users' histories that are looked at together: many for the steps in Python, and few for the caches."""
ROWS_A_USER = 16
"""So many interactions for each of the users that a step takes at most, together, so that it is bounded by both."""
NewSolver = Callable[[NDArray[np.float32], Prior, Objective], UserSolver]


class EpochFold:
    """Folds interactions into one epoch's state and says what to publish of it.

    The only one to change `state`, which it does through the messages that it returns, by the same fold as every
    reader of the update topic.

    What a micro-batch's own records touch is solved with it: its users, and the new items that it names. What follows
    from that for others (new items whose users moved, users of level 3 whose items moved) is *stale*: coalesced in the
    order in which it became so, and worked off within a budget a step, so that nobody's interaction waits for it. So it
    is with who knew an item that is forgotten: his pair is gone with the record; that it is, and his vector, follow.

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
        generation = state.generation
        self.state = state
        items_prior = Prior(gram=generation.item_gram, rows=len(generation.items), of="items")
        self.solver = new_solver(state.item_vectors.base, items_prior, generation.manifest.objective)
        """Solves users, and whatever else there is to solve."""
        self._levels = Levels(state)
        self._waiting = Waiting(state, partitions, self._levels.knowing)
        self._removals = Removals(state)
        self._again: set[int] = set()
        """Items of level 2 to be sent once more, also where they have no vector."""
        self.others = None if share is None else Others(state, share, self._levels)
        """What other processes say of the epoch, and are told; None where there are none."""
        users_prior = Prior(gram=generation.user_gram, rows=len(generation.users), of="users")
        self._higher = HigherLevels(state, self._levels, self.others, self.solver, users_prior, items_prior)

    @property
    def pending(self) -> int:
        """How many interactions, at most, wait for a flush."""
        return len(self._waiting)

    @property
    def stale(self) -> int:
        """How many items and users are to be solved again for what others did."""
        return self._levels.stale + (0 if self.others is None else len(self.others.untold))

    @property
    def shaken(self) -> int:
        """How many of these are users who are behind what is announced, since an item that they knew is forgotten."""
        return len(self._levels.shaken)

    @property
    def unsaid(self) -> int:
        """Of how many pairs that are gone readers have yet to be told: nothing is announced before."""
        return len(self._removals)

    def owe(self) -> None:
        """Mark all that is stale now."""
        self._levels.owe()
        if self.others is not None:
            self.others.untold.owe()

    @property
    def owed(self) -> int:
        """How much of what was marked is stale still."""
        return self._levels.owed + (0 if self.others is None else self.others.untold.owed)

    @property
    def nbytes(self) -> int:
        """About how many bytes the state and the solver's systems take, beside the generation's files."""
        foreign = 0 if self.others is None else self.others.share.foreign.nbytes
        return self.state.nbytes + self.solver.nbytes + foreign

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
            max_users: at most so many users, and fewer where they have many interactions; the rest stays pending. None
                for all.
            budget: for what is stale, which is left alone as long as something is pending, and as much again for the
                new items that the records name. None for all of it.
        """
        updates: list[Updates] = []
        budget = budget or Budget()
        forgotten = frozenset[int]() if self.others is None else self.others.forgotten_elsewhere()
        if forgotten:
            self._fold(nothing_but(forgotten), budget.again(), updates, said_elsewhere=True)
        if self._waiting:
            most = None if max_users is None else ROWS_A_USER * max_users
            self._fold(self._waiting.take(max_users, most), budget.again(), updates)
        updates += self._removals.take(budget)
        if not self._waiting:
            self._work_off(budget, updates)
        return updates

    def resend(self) -> list[Updates]:
        """Have every vector of levels 2 and 3 come once more, for readers that may have missed some.

        They are stale from now on, as is what others are told: mark it (`owe`) to know when all of it is through.
        """
        levels = self._levels
        self._again = set(levels.holders) if self.others is None else self.others.own_items(levels.holders)
        levels.stale_items.add(sorted(self._again))
        levels.stale_users.add(sorted(levels.level3))
        if self.others is not None:
            self.others.say_again()
        return []

    def release(self, terms: Mapping[int, int]) -> None:
        """Let go of partitions: their users are others' from now on, and so are their items.

        What was known of their users counts as said with these terms, by partition, until others say more.
        """
        assert self.others is not None
        self.others.release(terms)
        self._removals.keep(partial(self.others.share.own_users, self.state))
        for partition in terms:
            self._waiting.drop(partition)

    def _owns(self, name: str) -> bool:
        return self.others is None or self.others.share.owns(name)

    def _fold(self, batch: MicroBatch, budget: Budget, updates: list[Updates], *, said_elsewhere: bool = False) -> None:
        updates += self._removals.of(batch.users[~batch.swept])
        for removal in gone_from(self.state, batch):
            self._publish(removal, updates)
        owners = batch.owners()
        swept = batch.swept[owners]
        if batch.swept.any():
            users, items = batch.users[owners[swept]], batch.items[swept]
            self.state.drop_pairs(users, items, batch.inputs[owners[swept]])
            self._removals.add(users, items)
        self._forget_items(batch, updates, said_elsewhere=said_elsewhere)
        new = ~self._levels.is_level0(batch.items)
        if self.others is not None:
            gone = new & np.isnan(batch.strengths) & ~swept
            pairs = owners[gone], batch.items[gone], batch.strengths[gone]
            updates += states_of(self.state, batch.users, batch.inputs, np.zeros(len(batch), np.bool_), pairs)
            self.others.untold.add_gone(batch.users[owners[swept]], batch.inputs[owners[swept]], batch.items[swept])
        self._levels.track(batch.users[owners[new]], batch.items[new], batch.strengths[new])
        known = ~np.isnan(batch.strengths)
        # Before they are sent: the systems are gathered from the histories.
        self.state.histories.put_many(batch.users[owners[known]], batch.items[known], batch.strengths[known])
        self._levels.stale_items.add(np.unique(batch.items[swept]).tolist())
        self._levels.shaken.add(batch.users[batch.swept].tolist())
        batch = batch.unswept()
        if self._levels.shaken:
            self._levels.shaken.discard(batch.users.tolist())
        touched = self._solve_users(batch, np.empty(0, np.int64), budget, updates)
        self._solve_items(budget.affordable(touched.tolist(), self._weight), updates)
        self._solve_level3(batch, updates)

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

    def _forget_items(self, batch: MicroBatch, updates: list[Updates], *, said_elsewhere: bool) -> None:
        """Publish the items forgotten for the first time; who still knows one is to be solved again for it.

        Where another process has said so, the vector is gone already, or is what the item's owner has said since.
        """
        share = None if self.others is None else self.others.share
        if share is not None:  # whoever else has heard of it already
            forgotten = self.state.items.ids(np.array(sorted(batch.forgotten_items), np.int64))
            updates += [ItemState(name, "", self.state.epoch, 0) for name in forgotten]
        for item in sorted(batch.forgotten_items - self.state.forgotten_items):
            name = self.state.items.id(item)
            users = batch.knew[item] if item in batch.knew else self._levels.knowing(item)
            users = users[~np.isnan(self.state.histories.strengths(users, np.full(len(users), item, np.int64)))]
            holders = set(users.tolist()) if share is None else share.own_users(self.state, users.tolist())
            if self._owns(name):
                self._publish(ItemGone(name, self.state.epoch), updates)
            elif said_elsewhere:
                self.state.forgotten_items.add(item)
            else:
                self.state.apply(ItemGone(name, self.state.epoch))
            self._levels.holders[item] = holders
            self._levels.shaken.add(sorted(holders))
            if share is not None and share.foreign.weight(name):
                self._levels.stale_items.add([item])

    def _solve_users(self, batch: MicroBatch, disturbed: Handles, budget: Budget, updates: list[Updates]) -> Handles:
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
        forgotten = self.state.forgotten
        for part in chunks(starts, SLICE_PAIRS):
            level0, others = self.state.histories.split(users[part], self.state.items.base, forgotten)
            indptr, items, strengths = level0
            knows = np.diff(starts[part.start : part.stop + 1]) > 0
            some = np.diff(indptr) > 0
            fed_before = self._levels.move(users[part], some, knows)
            level1[part], feeds[part] = some, fed_before | some | ~knows
            if len(others[1]):
                owners = np.repeat(np.arange(part.start, part.stop), np.diff(others[0]))
                if self.others is not None:
                    told.append((owners, others[1].astype(np.int64), others[2]))
                theirs.update(others[1][feeds[owners]].tolist())
            if some.all():
                vectors.append(self.solver.solve(users[part], indptr, items, strengths))
            elif some.any():
                kept = np.append(indptr[:-1][some], indptr[-1])
                vectors.append(self.solver.solve(users[part][some], kept, items, strengths))
        fallen = ~level1 & (np.diff(starts) > 0) & (np.arange(len(users)) >= len(batch))  # the batch's own come next
        self._levels.stale_users.add(users[fallen].tolist())
        if vectors:
            at = np.flatnonzero(level1)
            places = at[at < len(batch)]
            block = block_of(self.state, batch, places, users[at[len(places) :]], np.concatenate(vectors))
            self._publish(block, updates)
        if told:
            inputs = np.concatenate([batch.inputs, inputs_of(self.state, disturbed)])
            owners, new, strengths = (np.concatenate(column) for column in zip(*told, strict=True))
            if self.others is not None:
                updates += self.others.say(users, inputs, level1, (owners, new, strengths), budget)
        owners = batch.owners()
        touched = np.unique(batch.items[~self._levels.is_level0(batch.items) & feeds[owners]])
        self._levels.stale_items.add(sorted(theirs.difference(touched.tolist())))
        return touched

    def _weight(self, item: int) -> int:
        own = len(self._levels.holders.get(item, ()))
        return own if self.others is None else own + self.others.share.foreign.weight(self.state.items.id(item))

    def _solve_items(self, parts: tuple[list[int], Iterable[int]], updates: list[Updates]) -> None:
        """Solve and publish items of level 2, and leave the second part for later; users who follow are stale."""
        state = self.state
        items, later = parts
        self._levels.stale_items.add(later)
        elsewhere = {item for item in items if not self._owns(state.items.id(item))}
        self._levels.stale_items.discard(elsewhere)
        items = [item for item in items if item not in elsewhere]
        if not items:
            return
        vectors, solved = self._higher.items(items)
        self._levels.stale_items.discard(items)
        for item, vector, has_one in zip(items, vectors, solved.tolist(), strict=True):
            new = vector if has_one else None
            again = item in self._again
            if again and self.others is not None and item in state.forgotten_items:
                # The forget may have come of another partition, whose owner has seen it before it was sent.
                self._publish(ItemGone(state.items.id(item), state.epoch), updates)
            if again or new is not None or state.item_vector(item) is not None:
                self._again.discard(item)
                self._publish(ItemVector(state.items.id(item), new, (), state.epoch), updates)
                self._levels.follow(item)

    def _solve_level3(self, batch: MicroBatch, updates: list[Updates]) -> None:
        """Publish the batch's users without an item of the generation."""
        unsolved = np.flatnonzero(self.state.histories.activity(len(self.state.users))[batch.users] == 0)
        alone = self._levels.level3.intersection(batch.users.tolist())
        if alone:
            users = np.array(sorted(alone), np.int64)
            places = np.searchsorted(batch.users, users)
            vectors, solved = self._higher.followers(users)
            unsolved = np.union1d(places[~solved], unsolved)
            chosen = np.flatnonzero(solved)
            if len(chosen):
                block = block_of(self.state, batch, places[chosen], np.empty(0, np.int64), vectors[chosen])
                self._publish(block, updates)
            self._levels.stale_users.discard(alone)
        for at in unsolved.tolist():
            self._publish(without_vector(self.state, batch, at), updates)

    def _settle(self, budget: Budget, updates: list[Updates]) -> None:
        """Solve users who knew an item that is forgotten, the longest waiting first, until the budget is used."""
        shaken = self._levels.shaken
        activity = self.state.histories.activity(len(self.state.users))
        some, _ = budget.affordable(shaken, lambda user: int(activity[user]))
        shaken.discard(some)
        users = np.array(some, np.int64)
        nobody = activity[users] == 0
        self._solve_users(nothing_but(frozenset()), users, budget, updates)
        for user in users[nobody].tolist():
            self._publish(self._message(user, None), updates)

    def _work_off(self, budget: Budget, updates: list[Updates]) -> None:
        """Solve stale items, and then stale users, the longest waiting first, until the budget is used.

        Users who know an item that waits too are solved once more after it, so that items go first; but half of the
        budget is the users', or they would wait for ever where items become stale as fast as they are solved.
        What others have yet to be told goes first: theirs is stale because of it.
        """
        levels = self._levels
        if self.others is not None:
            updates += self.others.untold.take(budget)
        if levels.shaken:
            self._settle(budget.again(), updates)  # their own, or new items' followers would wait for all of them
        # Whom a forgotten item's system takes moves in the steps to come: it is solved when they are through.
        later = self.state.forgotten_items if levels.shaken else ()
        kept = budget.reserve(len(levels.stale_users))
        while not budget.spent:
            some, _ = budget.affordable((item for item in levels.stale_items if item not in later), self._weight)
            if not some:
                break
            self._solve_items((some, []), updates)
        budget.take_back(kept)
        while levels.stale_users and not budget.spent:
            some, _ = budget.affordable(levels.stale_users, lambda _: 1)
            levels.stale_users.discard(some)
            users = np.array([user for user in some if user in self._levels.level3], np.int64)
            vectors, solved = self._higher.followers(users)
            for user, vector, has_one in zip(users.tolist(), vectors, solved, strict=True):
                self._publish(self._message(user, vector if has_one else None), updates)
