"""Solves users and items level by level, and says what became of them."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from oryx_py.messages import ItemGone, ItemVector, Update
from oryx_py.messages.blocks import Updates, UserVectors
from oryx_py.model.state.model_state import ModelState
from oryx_py.numerics.fold_in.batched import chunks
from speed_layer.folding.higher_levels import HigherLevels
from speed_layer.micro_batches.messages import block_of, without_vector
from speed_layer.micro_batches.micro_batch import MicroBatch
from speed_layer.sharing.item_states import inputs_of
from speed_layer.sharing.peers import Peers
from speed_layer.solving.budget import Budget
from speed_layer.solving.levels import Levels
from speed_layer.solving.user_solver import UserSolver

__all__ = ["LevelSolver"]

Handles = NDArray[np.int64]
SLICE_PAIRS = 1 << 17
"""Pairs of users' histories that are looked at together: many for the steps in Python, and few for the caches."""


class LevelSolver:
    """Puts what is solved into a fold's state, and the messages of it behind those that a step has already.

    Args:
        state, levels: the fold's.
        peers: what other processes say of the epoch, and are told; None where there are none.
        solver: of users of level 1.
        higher: the systems of the other levels.
    """

    def __init__(
        self, state: ModelState, levels: Levels, peers: Peers | None, solver: UserSolver, higher: HigherLevels
    ) -> None:
        self._state, self._levels, self._peers = state, levels, peers
        self._solver, self._higher = solver, higher

    def publish(self, update: Update | UserVectors, updates: list[Updates]) -> None:
        """Apply a message to the state, and have it sent."""
        if isinstance(update, UserVectors):
            self._state.apply_users(update, knows_pairs=True)  # the fold has put them there
        else:
            self._state.apply(update)
        updates.append(update)

    def owns(self, name: str) -> bool:
        """Say whether a user or an item is this fold's to solve."""
        return self._peers is None or self._peers.share.owns(name)

    def weight(self, item: int) -> int:
        """Return how many pairs the system of an item of level 2 has."""
        own = len(self._levels.holders.get(item, ()))
        return own if self._peers is None else own + self._peers.share.foreign.weight(self._state.items.id(item))

    def solve_users(self, batch: MicroBatch, disturbed: Handles, budget: Budget, updates: list[Updates]) -> Handles:
        """Solve and publish the users of level 1, and sort all users by levels.

        Returns the batch's own new items whose systems changed, ascending; others that did are stale from now on.
        """
        users = np.concatenate([batch.users, disturbed])
        level1, feeds = np.zeros(len(users), np.bool_), np.zeros(len(users), np.bool_)
        vectors: list[NDArray[np.float32]] = []
        theirs: set[int] = set()
        told: list[tuple[Handles, Handles, NDArray[np.float64]]] = []
        starts = np.zeros(len(users) + 1, np.int64)
        np.cumsum(self._state.histories.activity(len(self._state.users))[users], out=starts[1:])
        forgotten = self._state.forgotten
        for part in chunks(starts, SLICE_PAIRS):
            level0, others = self._state.histories.split(users[part], self._state.items.base, forgotten)
            indptr, items, strengths = level0
            knows = np.diff(starts[part.start : part.stop + 1]) > 0
            some = np.diff(indptr) > 0
            fed_before = self._levels.move(users[part], some, knows)
            level1[part], feeds[part] = some, fed_before | some | ~knows
            if len(others[1]):
                owners = np.repeat(np.arange(part.start, part.stop), np.diff(others[0]))
                if self._peers is not None:
                    told.append((owners, others[1].astype(np.int64), others[2]))
                theirs.update(others[1][feeds[owners]].tolist())
            if some.all():
                vectors.append(self._solver.solve(users[part], indptr, items, strengths))
            elif some.any():
                kept = np.append(indptr[:-1][some], indptr[-1])
                vectors.append(self._solver.solve(users[part][some], kept, items, strengths))
        fallen = ~level1 & (np.diff(starts) > 0) & (np.arange(len(users)) >= len(batch))  # the batch's own come next
        self._levels.stale_users.add(users[fallen].tolist())
        if vectors:
            at = np.flatnonzero(level1)
            places = at[at < len(batch)]
            block = block_of(self._state, batch, places, users[at[len(places) :]], np.concatenate(vectors))
            self.publish(block, updates)
        if told:
            inputs = np.concatenate([batch.inputs, inputs_of(self._state, disturbed)])
            owners, new, strengths = (np.concatenate(column) for column in zip(*told, strict=True))
            if self._peers is not None:
                updates += self._peers.say(users, inputs, level1, (owners, new, strengths), budget)
        owners = batch.owners()
        touched = np.unique(batch.items[~self._levels.is_level0(batch.items) & feeds[owners]])
        self._levels.stale_items.add(sorted(theirs.difference(touched.tolist())))
        return touched

    def solve_items(self, parts: tuple[list[int], Iterable[int]], updates: list[Updates]) -> None:
        """Solve and publish items of level 2, and leave the second part for later; users who follow are stale."""
        state = self._state
        items, later = parts
        self._levels.stale_items.add(later)
        elsewhere = {item for item in items if not self.owns(state.items.id(item))}
        self._levels.stale_items.discard(elsewhere)
        items = [item for item in items if item not in elsewhere]
        if not items:
            return
        vectors, solved = self._higher.items(items)
        self._levels.stale_items.discard(items)
        for item, vector, has_one in zip(items, vectors, solved.tolist(), strict=True):
            new = vector if has_one else None
            again = item in self._levels.again
            if again and self._peers is not None and item in state.forgotten_items:
                # The forget may have come of another partition, whose owner has seen it before it was sent.
                self.publish(ItemGone(state.items.id(item), state.epoch), updates)
            if again or new is not None or state.item_vector(item) is not None:
                self._levels.again.discard(item)
                self.publish(ItemVector(state.items.id(item), new, (), state.epoch), updates)
                self._levels.follow(item)

    def solve_level3(self, batch: MicroBatch, updates: list[Updates]) -> None:
        """Publish the batch's users without an item of the generation."""
        unsolved = np.flatnonzero(self._state.histories.activity(len(self._state.users))[batch.users] == 0)
        alone = self._levels.level3.intersection(batch.users.tolist())
        if alone:
            users = np.array(sorted(alone), np.int64)
            places = np.searchsorted(batch.users, users)
            vectors, solved = self._higher.followers(users)
            unsolved = np.union1d(places[~solved], unsolved)
            chosen = np.flatnonzero(solved)
            if len(chosen):
                block = block_of(self._state, batch, places[chosen], np.empty(0, np.int64), vectors[chosen])
                self.publish(block, updates)
            self._levels.stale_users.discard(alone)
        for at in unsolved.tolist():
            self.publish(without_vector(self._state, batch, at), updates)
