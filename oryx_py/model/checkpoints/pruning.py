"""Leaves a trace alone of every new ID that nothing in a state's changes refers to: who is forgotten has no name there.

A new user is named who knows something or has a vector, a new item that somebody knows or that has a vector. Handles
keep their order. Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oryx_py.messages.partitions import homes_of
from oryx_py.model.ids.traces import Traces, hashes_of
from oryx_py.model.state.changed_rows import ChangedRows
from oryx_py.model.state.changes import Offsets, StateChanges, VectorChanges
from oryx_py.model.state.histories import HistoryChanges

__all__ = ["pruned"]

Handles = NDArray[np.int64]
_NOBODY: Handles = np.empty(0, np.int64)


def pruned(changes: StateChanges, base_users: int, base_items: int, partitions: int) -> StateChanges:
    """Return the same changes with those new IDs alone that something refers to, their handles closed up.

    Args:
        changes: of a state.
        base_users, base_items: how many of each the generation has.
        partitions: of the input topic.
    """
    rows, forgotten = changes.histories.rows, changes.forgotten_items
    users = _Kept.of(base_users, changes.new_users, rows.users, changes.user_vectors)
    items = _Kept.of(base_items, changes.new_items, rows.items, changes.item_vectors)
    of_users = users.traces(changes.user_inputs, _NOBODY, partitions)
    of_items = items.traces(changes.item_inputs, forgotten, partitions)
    return StateChanges(
        new_users=[changes.new_users[at] for at in users.chosen.tolist()],
        new_items=[changes.new_items[at] for at in items.chosen.tolist()],
        user_vectors=users.vectors(changes.user_vectors),
        item_vectors=items.vectors(changes.item_vectors),
        histories=HistoryChanges(
            ChangedRows(users.place(rows.users), rows.indptr, items.place(rows.items), rows.strengths),
            # That the generation's pairs of a user do not count says nothing of one that it lacks.
            changes.histories.forgotten[changes.histories.forgotten < base_users],
        ),
        forgotten_items=items.place(forgotten[items.has(forgotten)]),
        user_inputs=users.offsets(changes.user_inputs),
        item_inputs=items.offsets(changes.item_inputs),
        user_traces=Traces.together([changes.user_traces, of_users]),
        item_traces=Traces.together([changes.item_traces, of_items]),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    """Which of one side's new IDs, that have the handles from ``base`` on, are kept: ``chosen`` int64[c], their places.

    ``to`` int64[n]: their handles then, -1 for those that are left out.
    """

    base: int
    names: Sequence[str]
    chosen: Handles
    to: Handles

    @classmethod
    def of(cls, base: int, names: Sequence[str], in_pairs: NDArray[Any], vectors: VectorChanges) -> "_Kept":
        needed = np.zeros(len(names), np.bool_)
        for handles in (in_pairs, vectors.handles[vectors.present]):
            needed[handles[handles >= base] - base] = True
        chosen = np.flatnonzero(needed)
        to = np.full(len(names), -1, np.int64)
        to[chosen] = base + np.arange(len(chosen))
        return cls(base, names, chosen, to)

    def has(self, handles: NDArray[Any]) -> NDArray[np.bool_]:
        """Return bool[n]: which handles are not left out."""
        found = np.ones(len(handles), np.bool_)
        new = np.flatnonzero(handles >= self.base)
        found[new] = self.to[handles[new] - self.base] >= 0
        return found

    def place(self, handles: NDArray[Any]) -> NDArray[Any]:
        """Return what handles, of which none is left out, are now."""
        if len(self.chosen) == len(self.to):
            return handles
        placed = handles.copy()
        new = np.flatnonzero(handles >= self.base)
        placed[new] = self.to[handles[new] - self.base]
        return placed

    def vectors(self, vectors: VectorChanges) -> VectorChanges:
        """Return the vectors; that a new ID has none need not be said."""
        kept = vectors.present | (vectors.handles < self.base)
        if kept.all():
            return VectorChanges(self.place(vectors.handles), vectors.matrix, vectors.present)
        return VectorChanges(self.place(vectors.handles[kept]), vectors.matrix[kept], vectors.present[kept])

    def offsets(self, offsets: Offsets) -> Offsets:
        """Return the offsets of those that are kept."""
        kept = self.has(offsets[0])
        return self.place(offsets[0][kept]), offsets[1][kept]

    def traces(self, offsets: Offsets, forgotten: Handles, partitions: int) -> Traces:
        """Return the traces of those that are left out and of whom there is anything to say."""
        inputs, ever = np.full(len(self.to), -1, np.int64), np.zeros(len(self.to), np.bool_)
        new = offsets[0] >= self.base
        inputs[offsets[0][new] - self.base] = offsets[1][new]
        ever[forgotten[forgotten >= self.base] - self.base] = True
        left = np.flatnonzero((self.to < 0) & ((inputs >= 0) | ever))
        names = [self.names[at] for at in left.tolist()]
        return Traces(hashes_of(names), inputs[left], homes_of(names, partitions), ever[left])
