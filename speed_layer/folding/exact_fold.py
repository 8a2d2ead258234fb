"""The exact fold of a micro-batch into an epoch's state, by the levels of the consistency rules.

Without feedback from lower levels to higher ones, the result is a function of the folded histories alone:

0. items of the generation keep their vectors;
1. a user with at least one of them is solved from those alone;
2. a new item is solved from the vectors of its users of level 1;
3. a user with none of level 0 is solved from the new items that have a vector.

In every system n counts only the pairs of its own sum. An item forgotten in this epoch counts as new.
"""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from oryx_py.events import Interaction, InteractionColumns
from oryx_py.messages import ItemGone, Update
from oryx_py.messages.blocks import Updates, expanded
from oryx_py.messages.item_state import ItemState
from oryx_py.model.state.model_state import ModelState
from oryx_py.numerics.fold_in.dense import Prior
from oryx_py.numerics.objective import Objective
from speed_layer.folding.higher_levels import HigherLevels
from speed_layer.folding.level_solver import LevelSolver
from speed_layer.folding.removals import Removals
from speed_layer.folding.stale_work import StaleWork
from speed_layer.micro_batches.messages import gone_from
from speed_layer.micro_batches.micro_batch import MicroBatch, nothing_but
from speed_layer.micro_batches.waiting import WaitingInteractions
from speed_layer.sharing.item_states import states_of
from speed_layer.sharing.peers import Peers
from speed_layer.sharing.share import Share
from speed_layer.solving.budget import Budget
from speed_layer.solving.levels import Levels
from speed_layer.solving.user_solver import UserSolver

__all__ = ["ExactFold", "NewSolver"]

Handles = NDArray[np.int64]
ROWS_A_USER = 16
"""So many interactions for each of the users that a step takes at most, together, so that it is bounded by both."""
NewSolver = Callable[[NDArray[np.float32], Prior, Objective], UserSolver]


class ExactFold:
    """Folds interactions into one epoch's state and says what to publish of it.

    The only one to change `state`, with its `LevelSolver`; through the messages that it returns, by the same fold as
    every reader of the update topic.

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
        self._waiting = WaitingInteractions(state, partitions, self._levels.knowing)
        self._removals = Removals(state)
        self.peers = None if share is None else Peers(state, share, self._levels)
        """What other processes say of the epoch, and are told; None where there are none."""
        users_prior = Prior(gram=generation.user_gram, rows=len(generation.users), of="users")
        higher = HigherLevels(state, self._levels, self.peers, self.solver, users_prior, items_prior)
        self._level_solver = LevelSolver(state, self._levels, self.peers, self.solver, higher)
        self._stale_work = StaleWork(state, self._levels, self.peers, self._level_solver, higher)

    @property
    def pending(self) -> int:
        """How many interactions, at most, wait for a flush."""
        return len(self._waiting)

    @property
    def stale(self) -> int:
        """How many items and users are to be solved again for what others did."""
        return self._levels.stale + (0 if self.peers is None else len(self.peers.unsent))

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
        if self.peers is not None:
            self.peers.unsent.owe()

    @property
    def owed(self) -> int:
        """How much of what was marked is stale still."""
        return self._levels.owed + (0 if self.peers is None else self.peers.unsent.owed)

    @property
    def nbytes(self) -> int:
        """About how many bytes the state and the solver's systems take, beside the generation's files."""
        foreign = 0 if self.peers is None else self.peers.share.foreign.nbytes
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
        return self._step(max_users, budget or Budget(), announced=False)

    def _step(self, max_users: int | None, budget: Budget, *, announced: bool) -> list[Updates]:
        updates: list[Updates] = []
        forgotten = frozenset[int]() if self.peers is None else self.peers.forgotten_elsewhere()
        if forgotten:
            self._fold(nothing_but(forgotten), budget.again(), updates, said_elsewhere=True)
        if self._waiting:
            most = None if max_users is None else ROWS_A_USER * max_users
            self._fold(self._waiting.take(max_users, most), budget.again(), updates, announced=announced)
        updates += self._removals.take(budget)
        if not self._waiting:
            self._stale_work.work_off(budget, updates)
        return updates

    def retrace(self, max_users: int | None = None) -> None:
        """Fold what was announced before: its removals and what users did themselves was sent.

        What forgets mean for those who knew the item may not have been, so that they are to be solved again, whatever
        else they did: that came first where the log was cut otherwise, or the partitions read in another order.
        """
        self._step(max_users, Budget(0, 0, 0), announced=True)

    def resend(self) -> list[Updates]:
        """Have every vector of levels 2 and 3 come once more, for readers that may have missed some.

        They are stale from now on, as is what others are told: mark it (`owe`) to know when all of it is through.
        """
        levels = self._levels
        levels.again = set(levels.holders) if self.peers is None else self.peers.own_items(levels.holders)
        levels.stale_items.add(sorted(levels.again))
        levels.stale_users.add(sorted(levels.level3))
        if self.peers is not None:
            self.peers.say_again()
        return []

    def release(self, terms: Mapping[int, int]) -> None:
        """Let go of partitions: their users are others' from now on, and so are their items.

        What was known of their users counts as said with these terms, by partition, until others say more.
        """
        assert self.peers is not None
        self.peers.release(terms)
        self._removals.keep(partial(self.peers.share.own_users, self.state))
        for partition in terms:
            self._waiting.drop(partition)

    def _fold(
        self,
        batch: MicroBatch,
        budget: Budget,
        updates: list[Updates],
        *,
        said_elsewhere: bool = False,
        announced: bool = False,
    ) -> None:
        updates += self._removals.of(batch.users[~batch.swept])
        for removal in gone_from(self.state, batch):
            self._level_solver.publish(removal, updates)
        self.solver.forget(batch.users[batch.forgotten])
        owners = batch.owners()
        swept = batch.swept[owners]
        if batch.swept.any():
            users, items = batch.users[owners[swept]], batch.items[swept]
            self.state.drop_pairs(users, items, batch.inputs[owners[swept]])
            self._removals.add(users, items)
        self._forget_items(batch, updates, said_elsewhere=said_elsewhere)
        new = ~self._levels.is_level0(batch.items)
        if self.peers is not None:
            gone = new & np.isnan(batch.strengths) & ~swept
            pairs = owners[gone], batch.items[gone], batch.strengths[gone]
            updates += states_of(self.state, batch.users, batch.inputs, np.zeros(len(batch), np.bool_), pairs)
            self.peers.unsent.add_gone(batch.users[owners[swept]], batch.inputs[owners[swept]], batch.items[swept])
        self._levels.track(batch.users[owners[new]], batch.items[new], batch.strengths[new])
        known = ~np.isnan(batch.strengths)
        # Before they are sent: the systems are gathered from the histories.
        self.state.histories.put_many(batch.users[owners[known]], batch.items[known], batch.strengths[known])
        self._levels.stale_items.add(np.unique(batch.items[swept]).tolist())
        self._levels.shaken.add(batch.users[batch.swept].tolist())
        batch = batch.unswept()
        if announced:
            self._levels.shaken.add(batch.users_of(self.state.forgotten).tolist())
        elif self._levels.shaken:
            self._levels.shaken.discard(batch.users.tolist())
        if not announced:
            # What nobody knows any more waits for nobody: a reader who has PROGRESS of the forget must not have it.
            unknown = [item for item in sorted(batch.forgotten_items) if not self._level_solver.weight(item)]
            self._level_solver.solve_items((unknown, []), updates)
        touched = self._level_solver.solve_users(batch, np.empty(0, np.int64), budget, updates)
        self._level_solver.solve_items(budget.affordable(touched.tolist(), self._level_solver.weight), updates)
        self._level_solver.solve_level3(batch, updates)

    def _forget_items(self, batch: MicroBatch, updates: list[Updates], *, said_elsewhere: bool) -> None:
        """Publish the items forgotten for the first time; who still knows one is to be solved again for it.

        Where another process has said so, the vector is gone already, or is what the item's owner has said since.
        """
        share = None if self.peers is None else self.peers.share
        if share is not None:  # whoever else has heard of it already
            forgotten = self.state.items.ids(np.array(sorted(batch.forgotten_items), np.int64))
            updates += [ItemState(name, "", self.state.epoch, 0) for name in forgotten]
        for item in sorted(batch.forgotten_items - self.state.forgotten_items):
            name = self.state.items.id(item)
            users = batch.knew[item] if item in batch.knew else self._levels.knowing(item)
            users = users[~np.isnan(self.state.histories.strengths(users, np.full(len(users), item, np.int64)))]
            holders = set(users.tolist()) if share is None else share.own_users(self.state, users.tolist())
            if self._level_solver.owns(name):
                self._level_solver.publish(ItemGone(name, self.state.epoch), updates)
            elif said_elsewhere:
                self.state.forgotten_items.add(item)
            else:
                self.state.apply(ItemGone(name, self.state.epoch))
            self._levels.holders[item] = holders
            self._levels.shaken.add(sorted(holders))
            if share is not None and share.foreign.weight(name):
                self._levels.stale_items.add([item])
