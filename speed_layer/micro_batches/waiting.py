"""Interactions that wait to be folded, until they are cut into micro-batches."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from oryx_py.events import FoldSettings, Interaction, InteractionColumns
from oryx_py.events.weighing import times_of, weigh_columns
from oryx_py.messages.partitions import homes_of
from oryx_py.model.state.model_state import ModelState
from speed_layer.micro_batches.item_index import ItemIndex
from speed_layer.micro_batches.micro_batch import MicroBatch
from speed_layer.micro_batches.pairs import folded_onto
from speed_layer.micro_batches.rows import SWEPT, WHOLE_USER, Cut, Rows, by_user

__all__ = ["WaitingInteractions"]

Handles = NDArray[np.int64]


@dataclass
class WaitingInteractions:
    """Takes interactions one by one, gives back micro-batches; reads the state, and names only new IDs in it.

    Args:
        state: the epoch's, as of the last micro-batch.
        partitions: of the input topic.
        knowing: returns who knows an item; asked once of each that is forgotten, however many partitions say so.
    """

    state: ModelState
    partitions: int
    knowing: Callable[[int], Handles]
    _new: list[tuple[Interaction, int, int, int]] = field(default_factory=list)
    _columns: list[Rows] = field(default_factory=list)
    _cut: Cut = field(default_factory=Cut)
    """All of them older than the columns."""
    _forgotten_items: set[int] = field(default_factory=set)
    _knew: dict[int, tuple[Handles, NDArray[np.int32]]] = field(default_factory=dict)
    """By item forgotten since the last micro-batch: who knew it then, and these users' partitions."""
    _touched: ItemIndex = field(init=False)
    """Of the columns."""
    _touched_in_cut: ItemIndex = field(init=False)

    def __post_init__(self) -> None:
        self._touched, self._touched_in_cut = ItemIndex(self.partitions), ItemIndex(self.partitions)

    def __len__(self) -> int:
        """At least the number of users that wait, at most that of interactions."""
        return len(self._new) + sum(map(len, self._columns)) + len(self._cut)

    def __bool__(self) -> bool:
        return bool(self._new or self._columns or len(self._cut) or self._forgotten_items)

    def add(self, interaction: Interaction, partition: int, offset: int, kafka_ms: int) -> None:
        """Take one interaction; those of a partition come in the order of its offsets."""
        if interaction.user:
            self._new.append((interaction, partition, offset, kafka_ms))
        else:
            self._lay_down()
            self._forget_item(interaction.item, partition, offset)

    def add_many(
        self, interactions: InteractionColumns, partitions: Handles, offsets: Handles, kafka_ms: Handles
    ) -> None:
        """Take interactions as columns; those of a partition come in the order of its offsets."""
        self._lay_down()
        begin, forgets = 0, list[int]()
        if "" in interactions.users:
            forgets = [place for place, user in enumerate(interactions.users) if not user]
        for place in [*forgets, len(interactions)]:
            if place > begin:
                some = slice(begin, place)
                part = interactions if place - begin == len(interactions) else interactions.at(range(begin, place))
                self._lay(part, partitions[some], offsets[some], kafka_ms[some])
            if place < len(interactions):
                self._forget_item(interactions.items[place], int(partitions[place]), int(offsets[place]))
            begin = place + 1

    def take(self, max_users: int | None = None, max_rows: int | None = None) -> MicroBatch:
        """Cut off the interactions of so many users, all of them for None, and the items forgotten by now.

        With ``max_rows`` no more users than have so many interactions together, but at least one.
        """
        self._lay_down()
        if max_users is None:
            rows = by_user([self._cut.rest, *self._columns])
            self._put(Cut(), [])
        else:
            if not len(self._cut) and self._columns:
                self._put(Cut(by_user(self._columns)), [])
            rows = self._cut.take(max_users, max_rows)
        forgotten_items, self._forgotten_items = frozenset(self._forgotten_items), set()
        knew = {item: users for item, (users, _) in self._knew.items()}
        self._knew = {}  # the state is another when this is folded
        return replace(folded_onto(self.state, rows, forgotten_items), knew=knew)

    def drop(self, partition: int) -> None:
        """Leave out what waits of a partition: it is another's to fold."""
        self._lay_down()
        rest = self._cut.rest
        self._put(
            Cut(rest.where(rest.partitions != partition)),
            [rows.where(rows.partitions != partition) for rows in self._columns],
        )

    def _put(self, cut: Cut, columns: list[Rows]) -> None:
        """Let this wait, and nothing else."""
        self._cut, self._columns = cut, columns
        self._touched, self._touched_in_cut = ItemIndex(self.partitions), ItemIndex(self.partitions)

    def _lay_down(self) -> None:
        """Turn what came one by one into columns."""
        if self._new:
            interactions, *places = zip(*self._new, strict=True)
            self._new = []
            self.add_many(InteractionColumns.of(interactions), *(np.array(column, np.int64) for column in places))

    def _lay(self, new: InteractionColumns, partitions: Handles, offsets: Handles, kafka_ms: Handles) -> None:
        """Add rows; leave out what is too old or too little to count."""
        manifest = self.state.generation.manifest
        settings: FoldSettings = manifest.fold
        users = self.state.users.intern_many(new.users)
        if "" in new.items:
            whole = np.array([not item for item in new.items])
            items = np.full(len(new), WHOLE_USER, np.int64)
            items[~whole] = self.state.items.intern_many([name for name in new.items if name])
        else:
            items = self.state.items.intern_many(new.items)
        rows = Rows(users, items, new.strengths, offsets, kafka_ms, partitions)
        if not settings.is_plain:
            known = {kind: place for place, kind in enumerate(settings.kinds) if kind}  # "" is no kind
            kinds = np.array([known.get(kind, -1) for kind in new.kinds], np.int64)
            times_ms = times_of(new.timestamps_ms(), kafka_ms)
            weighed, counts = weigh_columns(new.strengths, kinds, times_ms, settings, manifest.as_of_ms)
            rows = replace(rows, strengths=weighed).where(counts)
        self._columns.append(rows)

    def _forget_item(self, name: str, partition: int, offset: int) -> None:
        """Let everybody in the partition who knows the item, or will when what waits is folded, delete it."""
        item = self.state.items.intern(name)
        waiting = [self._touched.users(self._columns, item, partition)]
        if len(self._cut):
            cut = self._touched_in_cut.users([self._cut.rows], item, partition)
            waiting.append(cut[cut >= self._cut.first])  # others of the cut are folded by now
        if item not in self._knew:
            known = self.knowing(item)
            self._knew[item] = known, homes_of(self.state.users.ids(known), self.partitions)
        known, homes = self._knew[item]
        users = np.unique(np.concatenate([known[homes == partition], *waiting]))
        if len(users):
            same = np.full(len(users), 1, np.int64)
            nothing = np.full(len(users), np.nan)
            self._columns.append(Rows(users, item * same, nothing, offset * same, SWEPT * same, partition * same))
        self._forgotten_items.add(item)
