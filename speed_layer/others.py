"""What a fold hears of other processes, and says to them, where several share an epoch: of items of level 2 alone."""

from collections.abc import Iterable

import numpy as np
from msgspec.structs import replace

from oryx_py.messages import ItemGone, ItemVector
from oryx_py.messages.item_state import AllSaid, ItemState
from oryx_py.model.state import ModelState
from speed_layer.levels import Levels
from speed_layer.share import Share, inputs_of, states_of

__all__ = ["Others"]


class Others:
    """Takes in what others say; the fold that it belongs to solves again what that makes stale.

    Args:
        state: of the fold's epoch.
        share: what of it is this fold's.
        levels: the fold's.
    """

    def __init__(self, state: ModelState, share: Share, levels: Levels) -> None:
        self._state, self._levels = state, levels
        self.share = share
        self._elsewhere: set[int] = set()
        """Items of which another process has said that they are forgotten."""

    def said(self) -> list[ItemState]:
        """Return all that this fold's users say of new items."""
        return [state for item in self._levels.holders for state in self._said_of(item, self._levels.feeding(item))]

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
        elif not self.share.owns(said.user) and self.share.foreign.put(said):
            self._disturb(said.item)

    def hear_item(self, said: ItemVector | ItemGone, update_partition: int) -> None:
        """Take in what an item's owner has sent; users of level 3 who know the item are stale."""
        if said.epoch != self._state.epoch or self.share.owns(said.item):
            return
        if isinstance(said, ItemGone):
            self._hear_forget(said.item)
            said = ItemVector(said.item, None, (), said.epoch, said.item_input, said.term)
        item = self._state.items.intern(said.item)
        if self._state.apply(said, update_partition):
            self._levels.follow(item)

    def forgotten_elsewhere(self) -> frozenset[int]:
        """Return the items of which others have said since that they are forgotten."""
        forgotten, self._elsewhere = frozenset(self._elsewhere), set()
        return forgotten

    def release(self, partition: int, term: int) -> None:
        """Let go of a partition; what was known of its users counts as said with this term."""
        share, state, levels = self.share, self._state, self._levels
        share.owned.discard(partition)
        for item, holders in levels.holders.items():
            gone = {user for user in holders if not share.owns(state.users.id(user))}
            holders -= gone
            for said in self._said_of(item, gone - levels.level3):
                share.foreign.put(replace(said, term=term))
        levels.level3 = share.own_users(state, levels.level3)
        levels.stale_users = {user: None for user in levels.stale_users if user in levels.level3}

    def _said_of(self, item: int, users: Iterable[int]) -> list[ItemState]:
        """Return what users of level 1 say of an item."""
        state, fed = self._state, np.array(sorted(users), np.int64)
        strengths = state.histories.strengths(fed, np.full(len(fed), item, np.int64))
        pairs = np.arange(len(fed)), np.full(len(fed), item, np.int64), strengths
        return states_of(state, fed, inputs_of(state, fed), np.ones(len(fed), np.bool_), pairs)

    def _disturb(self, name: str) -> None:
        item = self._state.items.intern(name)
        self._levels.holders.setdefault(item, set())
        if item >= self._state.items.base or item in self._state.forgotten_items:
            self._levels.stale_items[item] = None

    def _hear_forget(self, name: str) -> None:
        item = self._state.items.intern(name)
        if item not in self._state.forgotten_items:
            self._elsewhere.add(item)
