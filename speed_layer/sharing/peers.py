"""What a fold hears of other processes, and says to them, where several share an epoch: of items of level 2 alone."""

from collections.abc import Collection, Iterable, Mapping

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from oryx_py.messages import ItemGone, ItemVector, partition_of
from oryx_py.messages.item_state import AllSaid, ItemState
from oryx_py.model.checkpoints.merging import homes_of
from oryx_py.model.state.item_states import StateRows
from oryx_py.model.state.model_state import ModelState
from speed_layer.sharing.item_states import inputs_of, states_of
from speed_layer.sharing.share import Share
from speed_layer.sharing.unsent_states import UnsentStates
from speed_layer.solving.budget import Budget
from speed_layer.solving.levels import Levels

__all__ = ["Peers"]

Handles = NDArray[np.int64]


class Peers:
    """Takes in what others say; the fold that it belongs to solves again what that makes stale.

    Args:
        state: of the fold's epoch.
        share: what of it is this fold's.
        levels: the fold's.
    """

    def __init__(self, state: ModelState, share: Share, levels: Levels) -> None:
        self._state, self._levels = state, levels
        self.share = share
        self.unsent = UnsentStates(state, levels)
        """Whose states of new items are yet to be said."""
        self._elsewhere: set[int] = set()
        """Items of which another process has said that they are forgotten."""
        self._own_until: dict[int, int] = {}
        """By partition that was this fold's, with which term: what was said of its items up to then is here."""

    def say(
        self,
        users: Handles,
        inputs: Handles,
        level1: NDArray[np.bool_],
        pairs: tuple[Handles, Handles, NDArray[np.float64]],
        budget: Budget,
    ) -> list[ItemState]:
        """Return what users who were solved say of their new items, of the first ones as the budget allows.

        The others wait, and so does who has waited before: his move is one more.

        Args:
            users, inputs, level1, pairs: as `states_of` has them; the pairs by ascending places of users.
            budget: of this step.
        """
        owners, items, strengths = pairs
        granted = budget.grant_states(len(owners))
        whole = granted if granted == len(owners) else int(np.searchsorted(owners, owners[granted]))
        budget.give_back(granted - whole)
        moved = [user for user in users[np.unique(owners[:whole])].tolist() if user in self.unsent]
        self.unsent.add([*users[np.unique(owners[whole:])].tolist(), *moved])
        return states_of(self._state, users, inputs, level1, (owners[:whole], items[:whole], strengths[:whole]))

    def say_again(self) -> None:
        """Let all that this fold's users say of new items be said once more, within the budgets of steps to come."""
        levels = self._levels
        self.unsent.add(sorted(set[int]().union(*levels.holders.values()) - levels.level3))

    def own_items(self, items: Iterable[int]) -> set[int]:
        """Return those of the items, by handle, that are this fold's."""
        handles = np.fromiter(items, np.int64)
        homes = homes_of(self._state.items.ids(handles), self.share.partitions)
        return set(handles[np.isin(homes, list(self.share.owned))].tolist())

    def all_said(self) -> list[AllSaid]:
        """Return that all is said that the users of these partitions say of new items."""
        return [AllSaid(partition, self._state.epoch) for partition in sorted(self.share.owned)]

    def hear_state(self, said: ItemState | AllSaid) -> None:
        """Take in what another user's owner says of an item; solved again in a later step."""
        if said.epoch != self._state.epoch:
            return
        if isinstance(said, AllSaid):
            for name in self.share.foreign.end(said):
                self._disturb(name)
        elif said.forgets:
            self._hear_forget(said.item)
        elif not self.share.owns(said.user) and (self.share.foreign.put(said) or self._is_new(said.item)):
            self._disturb(said.item)  # also where nobody knows it any more

    def hear_item(self, said: ItemVector | ItemGone, update_partition: int) -> None:
        """Take in what an item's owner has sent; users of level 3 who know the item are stale."""
        if said.epoch != self._state.epoch or self.share.owns(said.item) or self._is_own(said):
            return
        if isinstance(said, ItemGone):
            self._hear_forget(said.item)
            said = ItemVector(said.item, None, (), said.epoch, said.item_input, said.term)
        item = self._state.items.intern(said.item)
        if self._state.apply(said, update_partition):
            self._levels.follow(item)

    def has_said(self, partitions: Collection[int], term: int) -> None:
        """Note that all was said with this term of the items of partitions that were let go of, and by whom.

        It is heard once more, from long ago on; the vectors that items have had since must not come back for that.
        """
        self._own_until |= {partition: max(term, self._own_until.get(partition, -1)) for partition in partitions}

    def _is_own(self, said: ItemVector | ItemGone) -> bool:
        """Say whether this fold has said it, or an owner before it."""
        if not self._own_until or said.term is None:
            return False
        return said.term <= self._own_until.get(partition_of(said.item, self.share.partitions), -1)

    def forgotten_elsewhere(self) -> frozenset[int]:
        """Return the items of which others have said since that they are forgotten."""
        forgotten, self._elsewhere = frozenset(self._elsewhere), set()
        return forgotten

    def recall(self, rows: StateRows, partitions: Collection[int], ended: Mapping[int, int]) -> None:
        """Take in what a checkpoint has of other users' states, of the items that are in these partitions."""
        share = self.share
        theirs = set(range(share.partitions)) - share.owned
        of_items = np.isin(homes_of(rows.items, share.partitions), list(partitions))
        foreign = np.isin(homes_of(rows.users, share.partitions), list(theirs))
        for partition, term in ended.items():
            for name in share.foreign.end(AllSaid(partition, self._state.epoch, term)):
                self._disturb(name)
        for name in share.foreign.load(rows, np.flatnonzero(of_items & foreign).tolist(), set(partitions), theirs):
            self._disturb(name)

    def release(self, terms: Mapping[int, int]) -> None:
        """Let go of partitions; what was known of their users counts as said with these terms, by partition.

        It is all that they say: what still comes with lower terms is of owners before.
        """
        share, state, levels = self.share, self._state, self._levels
        share.owned.difference_update(terms)
        for partition, term in terms.items():
            share.foreign.end(AllSaid(partition, state.epoch, term))
        for item, holders in levels.holders.items():
            gone = holders - share.own_users(state, holders)
            holders -= gone
            for said in self._said_of(item, gone - levels.level3):
                share.foreign.put(replace(said, term=terms[partition_of(said.user, share.partitions)]))
        levels.level3 = share.own_users(state, levels.level3)
        self.unsent.keep(share.own_users(state, self.unsent.users))
        levels.stale_users.keep(levels.level3)
        levels.shaken.keep(share.own_users(state, levels.shaken))

    def _said_of(self, item: int, users: Iterable[int]) -> list[ItemState]:
        """Return what users of level 1 say of an item."""
        state, fed = self._state, np.array(sorted(users), np.int64)
        strengths = state.histories.strengths(fed, np.full(len(fed), item, np.int64))
        pairs = np.arange(len(fed)), np.full(len(fed), item, np.int64), strengths
        return states_of(state, fed, inputs_of(state, fed), np.ones(len(fed), np.bool_), pairs)

    def _is_new(self, name: str) -> bool:
        """Say whether an item is of level 2, and was not heard of yet."""
        item = self._state.items.find(name)
        return item < 0 or (self._is_level2(item) and item not in self._levels.holders)

    def _is_level2(self, item: int) -> bool:
        return item >= self._state.items.base or item in self._state.forgotten_items

    def _disturb(self, name: str) -> None:
        if self._is_new(name):  # a former owner may have sent a vector, and all may have been sent once more by now
            self._levels.again.add(self._state.items.intern(name))
        item = self._state.items.intern(name)
        self._levels.holders.setdefault(item, set())
        if self._is_level2(item):
            self._levels.stale_items.add([item])

    def _hear_forget(self, name: str) -> None:
        item = self._state.items.intern(name)
        if item not in self._state.forgotten_items:
            self._elsewhere.add(item)
