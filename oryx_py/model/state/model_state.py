"""The state of one epoch, and the one fold that applies update messages to it.

Speed and serving hold the same state and change it by the same function, so that what the one computes is what the
other serves (invariant 3 of the design).
"""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from oryx_py.messages import ItemGone, ItemVector, Progress, Update, UserGone, UserVector, partition_of
from oryx_py.messages.blocks import UserVectors
from oryx_py.model.epochs.terms import Terms
from oryx_py.model.generations.generation import Generation
from oryx_py.model.ids.id_space import IdSpace
from oryx_py.model.pieces import Collection, pieces
from oryx_py.model.state.changes import Offsets, StateChanges
from oryx_py.model.state.histories import Histories
from oryx_py.model.state.vectors import VectorTable

__all__ = ["ModelState"]


class ModelState:
    """A generation, and everything that the update topic has said about it in one epoch.

    One owner, one thread. Applying the same message twice changes nothing.

    Args:
        generation: what the epoch begins with; never changed.
        epoch: the epoch's number; messages of others are ignored.
        update_partitions: partitions of the update topic.
    """

    def __init__(self, generation: Generation, epoch: int, update_partitions: int = 1) -> None:
        self.generation = generation
        self.epoch = epoch
        self.users = IdSpace(generation.users)
        self.items = IdSpace(generation.items)
        self.user_vectors = VectorTable(generation.user_factors)
        self.item_vectors = VectorTable(generation.item_factors)
        self.histories = Histories(generation.user_histories, generation.item_histories)
        self.forgotten_items: set[int] = set()
        """Handles of items forgotten in this epoch: they count as new, even with a row in the generation."""
        self._forgotten = np.empty(0, np.int64)
        self._update_partitions = update_partitions
        covered = {int(partition): to for partition, (_, to) in generation.manifest.input.items()}
        self._progress: list[Mapping[int, int]] = [dict(covered) for _ in range(update_partitions)]
        """None of them is ever changed: another takes its place."""
        self._reached_by_all: Mapping[int, int] | None = None
        """As `reached` has it; None where it has to be put together anew."""
        self._live: list[dict[int, bool]] = [{} for _ in range(update_partitions)]
        self._terms = Terms(update_partitions, len(covered))
        self._user_input: dict[int, int] = {}
        self._item_input: dict[int, int] = {}

    @property
    def forgotten(self) -> NDArray[np.int64]:
        """int64[f], ascending: `forgotten_items`, of which there are never fewer; the same array until one comes."""
        if len(self._forgotten) != len(self.forgotten_items):
            self._forgotten = np.sort(np.fromiter(self.forgotten_items, np.int64, len(self.forgotten_items)))
        return self._forgotten

    def apply(self, update: Update, update_partition: int = 0) -> bool:
        """Apply one message; the fold.

        Returns False where the message changes nothing by the rules: it is of another epoch, or of a former owner of
        the partition that its user or item is in, or older than what was applied to the same user or item (an equal
        offset is applied: repeats are harmless).

        Raises:
            BadMessage: the vector's length is not the generation's; the state is as before.
        """
        if isinstance(update, Progress):
            self.hear_term(update, update_partition)
        if update.epoch != self.epoch:
            return False
        match update:
            case UserVector():
                former = self._terms.is_former(update.user, update.term, update_partition)
                return not former and self._apply_user_vector(update)
            case UserGone():
                former = self._terms.is_former(update.user, update.term, update_partition)
                return not former and self._apply_user_gone(update)
            case ItemVector():
                former = self._terms.is_former(update.item, update.term, update_partition)
                return not former and self._apply_item(update.item, update.item_input, update.vector)
            case ItemGone():
                former = self._terms.is_former(update.item, update.term, update_partition)
                applied = not former and self._apply_item(update.item, update.item_input, None)
                if applied:
                    self.forgotten_items.add(self.items.intern(update.item))
                return applied
            case Progress():
                self._apply_progress(update, update_partition)
                return True
            case _:
                return False

    def hear_term(self, progress: Progress, update_partition: int) -> None:
        """Take in who speaks for which input partitions, and nothing else of a message."""
        self._terms.note(progress.term, progress.partitions, update_partition)

    def spoken_for(self, progress: Progress, update_partition: int) -> list[int]:
        """Return the input partitions that a message speaks for whose owner its sender still is."""
        ended = self._terms.has_ended
        return [p for p in progress.partitions if not ended(progress.term, p, update_partition)]

    def apply_users(self, block: UserVectors, *, knows_pairs: bool = False) -> None:
        """Apply a block that was made from this very state: as its messages one by one, whose handles it has.

        Nothing in it may be older than what was applied to the same user.

        Args:
            block: what to apply.
            knows_pairs: whether its pairs are in the histories already.

        Raises:
            BadMessage: the vectors' length is not the generation's; the state is as before.
        """
        self.user_vectors.set_many(block.handles, block.vectors)
        if not knows_pairs:
            users = np.repeat(block.handles, np.diff(block.indptr))
            self.histories.put_many(users, block.item_handles, block.strengths)
        known = block.inputs >= 0
        self._user_input.update(zip(block.handles[known].tolist(), block.inputs[known].tolist(), strict=True))

    def drop_pairs(self, users: NDArray[np.int64], items: NDArray[np.int64], inputs: NDArray[np.int64]) -> None:
        """Apply what a `PairsGone` with these handles and inputs says."""
        self.histories.put_many(users, items, np.full(len(users), np.nan))
        self._user_input.update(zip(users.tolist(), inputs.tolist(), strict=True))

    def user_vector(self, user: int) -> NDArray[np.float32] | None:
        """Return float32[k], None for a user who has no vector."""
        return self.user_vectors.get(user)

    def item_vector(self, item: int) -> NDArray[np.float32] | None:
        """Return float32[k], None for an item that has no vector."""
        return self.item_vectors.get(item)

    def history(self, user: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return int64[n] known items' handles and float64[n] folded strengths."""
        return self.histories.of_user(user)

    def knows(self, user: int, item: int) -> bool:
        """Say whether a pair's folded state is not "nothing"."""
        return self.histories.strength(user, item) is not None

    def popularity(self) -> NDArray[np.int64]:
        """Return int64[items]: by item handle, how many users know it."""
        return self.histories.popularity(len(self.items))

    def activity(self) -> NDArray[np.int64]:
        """Return int64[users]: by user handle, how many items are known."""
        return self.histories.activity(len(self.users))

    def user_input(self, user: int) -> int | None:
        """Return the input offset of the newest message applied to a user, None for none in this epoch."""
        return self._user_input.get(user)

    def progress(self, update_partition: int = 0) -> Mapping[int, int]:
        """Return by input partition the offset below which all users' updates of this partition are in."""
        return MappingProxyType(self._progress[update_partition])

    def reached(self, user: str | None = None) -> Mapping[int, int]:
        """Return by input partition the offset below which a user's updates are in; without a user, everybody's.

        As of now: what comes later does not change it. Costs nothing but the hash of the user's ID.
        """
        if self._update_partitions == 1:
            return self._progress[0]
        if user is not None:
            return self._progress[partition_of(user, self._update_partitions)]
        if self._reached_by_all is None:
            self._reached_by_all = {p: min(told[p] for told in self._progress) for p in self._progress[0]}
        return self._reached_by_all

    def live(self, update_partition: int = 0) -> Mapping[int, bool]:
        """Return by input partition whether the epoch was announced live in this update partition."""
        return MappingProxyType(self._live[update_partition])

    @property
    def nbytes(self) -> int:
        """About how many bytes this holds beside the generation's files; names and positions by their usual size."""
        new = len(self.users) - self.users.base + len(self.items) - self.items.base
        arrays = self.user_vectors.nbytes + self.item_vectors.nbytes + self.histories.nbytes
        return arrays + 200 * new + 100 * (len(self._user_input) + len(self._item_input))

    def collections(self) -> list[tuple[object, list[Collection]]]:
        """Return what has an entry for each of many users or items, by whose it is; for who frees it in pieces."""
        return [
            (self, [self._user_input, self._item_input]),
            (self.users, self.users.collections()),
            (self.items, self.items.collections()),
        ]

    def terms(self) -> Mapping[int, int]:
        """Return by input partition the highest term that was named in any update partition."""
        found: dict[int, int] = {}
        for partition in range(self._update_partitions):
            found |= {p: max(term, found.get(p, -1)) for p, term in self._terms.of(partition).items()}
        return found

    def covers(self, user: str | None, offsets: Mapping[int, int]) -> bool:
        """Say whether the interactions at these input offsets are in; without a user, for all users."""
        if user is None:
            partitions = range(self._update_partitions)
        else:
            home = partition_of(user, self._update_partitions)
            partitions = range(home, home + 1)
        return all(
            self._progress[update_partition].get(partition, 0) > offset
            for update_partition in partitions
            for partition, offset in offsets.items()
        )

    def dump(self) -> StateChanges:
        """Return what is not the generation's, in arrays that no later change alters, but for what was announced."""
        return StateChanges(
            new_users=self.users.since(),
            new_items=self.items.since(),
            user_vectors=self.user_vectors.dump(),
            item_vectors=self.item_vectors.dump(),
            histories=self.histories.dump(),
            forgotten_items=self.forgotten,
            user_inputs=_columns(self._user_input),
            item_inputs=_columns(self._item_input),
            user_traces=self.users.unnamed.dump(),
            item_traces=self.items.unnamed.dump(),
        )

    def load(
        self,
        changes: StateChanges,
        input: Mapping[int, int],  # noqa: A002
        live: Iterable[int],
        terms: Mapping[int, int] | None = None,
    ) -> None:
        """Take over what another state of the same generation dumped; nothing may have been applied here before.

        Args:
            changes: all of them; its histories are used as they are, mapped ones too.
            input: by input partition, the offset below which everything is in them, as was announced in every update
                partition.
            live: input partitions announced live.
            terms: by input partition, the highest term named so far; None for none.
        """
        self.users.extend(changes.new_users)
        self.items.extend(changes.new_items)
        self.user_vectors.load(changes.user_vectors)
        self.item_vectors.load(changes.item_vectors)
        self.histories.load(changes.histories)
        self.forgotten_items.update(changes.forgotten_items.tolist())
        self._user_input = _by_handle(changes.user_inputs)
        self._item_input = _by_handle(changes.item_inputs)
        # These know what they change and not the state: with a cycle it would outlive its last reference.
        self.users.unnamed.take(changes.user_traces, _user_back(self._user_input))
        self.items.unnamed.take(changes.item_traces, _item_back(self._item_input, self.forgotten_items))
        # Where changes were put together, an item may have a name in one part and a trace in another. A user is in one
        # part alone: there are many, and to look for each of them takes a second for 700,000.
        self.items.unnamed.meet(self.items.since(), self.items.base)
        for partition in range(self._update_partitions):
            for of_input, term in (terms or {}).items():
                self._terms.note(term, [of_input], partition)
            self._apply_progress(Progress(dict(input), dict.fromkeys(live, True), self.epoch), partition)

    def _is_stale(self, user: int, offset: int | None) -> bool:
        return offset is not None and self._user_input.get(user, -1) > offset

    def _apply_user_vector(self, update: UserVector) -> bool:
        user = self.users.intern(update.user)
        if self._is_stale(user, update.input):
            return False
        self.user_vectors.set(user, update.vector)
        if update.items:
            items = np.array([self.items.intern(item) for item in update.items], np.int64)
            self.histories.put_many(np.full(len(items), user, np.int64), items, np.array(update.strengths, np.float64))
        if update.input is not None:
            self._user_input[user] = update.input
        return True

    def _apply_user_gone(self, update: UserGone) -> bool:
        user = self.users.intern(update.user)
        if self._is_stale(user, update.input):
            return False
        if update.items is None:
            self.histories.forget_user(user)
            self.user_vectors.set(user, None)
        else:
            found = np.array([self.items.find(item) for item in update.items], np.int64)
            items = found[found >= 0]
            self.histories.put_many(np.full(len(items), user, np.int64), items, np.full(len(items), np.nan))
        if update.input is not None:
            self._user_input[user] = update.input
        return True

    def _apply_item(self, name: str, offset: int | None, vector: NDArray[np.float32] | None) -> bool:
        item = self.items.intern(name)
        if offset is not None and self._item_input.get(item, -1) > offset:
            return False
        self.item_vectors.set(item, vector)
        if offset is not None:
            self._item_input[item] = offset
        return True

    def _apply_progress(self, update: Progress, update_partition: int) -> None:
        progress = dict(self._progress[update_partition])
        # What the generation does not know is no partition of its topic.
        heard = {p for p in progress if not self._terms.has_ended(update.term, p, update_partition)}
        for partition, offset in ((p, o) for p, o in update.input.items() if p in heard):
            progress[partition] = max(offset, progress[partition])
        self._progress[update_partition] = progress
        self._reached_by_all = None
        live = self._live[update_partition]
        for partition, value in ((p, v) for p, v in update.live.items() if p in heard):
            live[partition] = live.get(partition, False) or value


def _user_back(inputs: dict[int, int]) -> Callable[[int, int, bool], None]:
    def back(user: int, offset: int, _: bool) -> None:
        inputs[user] = max(offset, inputs.get(user, -1))

    return back


def _item_back(inputs: dict[int, int], all_forgotten: set[int]) -> Callable[[int, int, bool], None]:
    def back(item: int, offset: int, forgotten: bool) -> None:
        if offset >= 0:
            inputs[item] = max(offset, inputs.get(item, -1))
        if forgotten:
            all_forgotten.add(item)

    return back


def _columns(offsets: Mapping[int, int]) -> Offsets:
    handles = np.fromiter(offsets, np.int64, len(offsets))
    values = np.fromiter(offsets.values(), np.int64, len(offsets))
    order = np.argsort(handles)
    return handles[order], values[order]


def _by_handle(offsets: Offsets) -> dict[int, int]:
    handles, values = offsets
    found: dict[int, int] = {}
    for part in pieces(len(handles)):
        found.update(zip(handles[part].tolist(), values[part].tolist(), strict=True))
    return found
