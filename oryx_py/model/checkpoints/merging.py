"""Brings together what several states of one epoch differ by from its generation: of each the users of some partitions.

Handles mean rows of the generation and, above these, places in a state's own list of new IDs. Users come from one state
each; of items, which every state has, what a later one says counts. Pure.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oryx_py.model.generations.generation import Generation
from oryx_py.model.ids.id_space import Ids
from oryx_py.model.ids.packed_ids import PackedIds
from oryx_py.model.ids.traces import Traces
from oryx_py.model.state.changed_rows import ChangedRows
from oryx_py.model.state.changes import Offsets, StateChanges, VectorChanges
from oryx_py.model.state.histories import HistoryChanges
from oryx_py.numerics.murmur2 import partitions_of

__all__ = ["Piece", "homes_of", "merged"]

Handles = NDArray[np.int64]
_NONE: Handles = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A state's changes, and the input partitions whose users are taken from it; None for all users that it has."""

    changes: StateChanges
    partitions: frozenset[int] | None = None


def homes_of(ids: Sequence[str], partitions: int) -> NDArray[np.int32]:
    """Return int32[n]: the partition that each ID is in."""
    packed = PackedIds.of(ids)
    return partitions_of(np.ascontiguousarray(packed.data), packed.offsets, partitions)


def merged(pieces: Sequence[Piece], generation: Generation, partitions: int) -> StateChanges:
    """Return the changes of a state that has each piece's users, and everybody's items.

    Args:
        pieces: no user in two of them; the last one's word on items counts.
        generation: of which all of them are.
        partitions: of the input topic.
    """
    if len(pieces) == 1 and pieces[0].partitions is None:
        return pieces[0].changes
    new_users: list[str] = []
    new_items: dict[str, int] = {}
    parts = [_moved(piece, generation, partitions, new_users, new_items) for piece in pieces]
    rows = [part.histories.rows for part in parts]
    return StateChanges(
        new_users=new_users,
        new_items=list(new_items),
        user_vectors=VectorChanges(*_last([_columns(part.user_vectors) for part in parts])),
        item_vectors=VectorChanges(*_last([_columns(part.item_vectors) for part in parts])),
        histories=HistoryChanges(
            _together(rows), np.sort(np.concatenate([part.histories.forgotten for part in parts]))
        ),
        forgotten_items=np.unique(np.concatenate([part.forgotten_items for part in parts])),
        user_inputs=_offsets(part.user_inputs for part in parts),
        item_inputs=_offsets(part.item_inputs for part in parts),
        user_traces=Traces.together([part.user_traces for part in parts]),
        item_traces=Traces.together([part.item_traces for part in parts]),
    )


def _moved(
    piece: Piece, generation: Generation, partitions: int, new_users: list[str], new_items: dict[str, int]
) -> StateChanges:
    """Return a piece's changes by the handles of the whole, to which its new IDs are added."""
    changes = piece.changes
    items = _of_items(changes.new_items, len(generation.items), new_items)
    users = _of_users(piece, generation.users, partitions, new_users)
    rows, at = changes.histories.rows, users(changes.histories.rows.users)
    kept = at >= 0
    lengths = np.diff(rows.indptr)
    pairs = np.repeat(kept, lengths)
    indptr = np.concatenate([[0], np.cumsum(lengths[kept])])
    of_items = items(rows.items[pairs].astype(np.int64)).astype(np.int32)
    known, forgotten = users(changes.user_inputs[0]), users(changes.histories.forgotten)
    vectors, theirs = changes.user_vectors, users(changes.user_vectors.handles)
    has = theirs >= 0
    return StateChanges(
        new_users=(),
        new_items=(),
        user_vectors=VectorChanges(theirs[has], vectors.matrix[has], vectors.present[has]),
        item_vectors=VectorChanges(items(changes.item_vectors.handles), *_columns(changes.item_vectors)[1:]),
        histories=HistoryChanges(
            ChangedRows(at[kept], indptr, of_items, rows.strengths[pairs]), forgotten[forgotten >= 0]
        ),
        forgotten_items=items(changes.forgotten_items),
        user_inputs=(known[known >= 0], changes.user_inputs[1][known >= 0]),
        item_inputs=(items(changes.item_inputs[0]), changes.item_inputs[1]),
        user_traces=changes.user_traces if piece.partitions is None else changes.user_traces.of_homes(piece.partitions),
        item_traces=changes.item_traces,
    )


def _of_items(names: Sequence[str], base: int, all_new: dict[str, int]) -> Callable[[Handles], Handles]:
    new = np.array([all_new.setdefault(name, base + len(all_new)) for name in names], np.int64)

    def place(handles: Handles) -> Handles:
        found = np.array(handles, np.int64)
        found[handles >= base] = new[handles[handles >= base] - base]
        return found

    return place


def _of_users(piece: Piece, rows: Ids, partitions: int, all_new: list[str]) -> Callable[[Handles], Handles]:
    """Add the new users that are taken; return what says of handles those in the whole, -1 of those left out."""
    changes, base = piece.changes, len(rows)
    of_rows = changes.user_vectors.handles, changes.histories.rows.users, changes.histories.forgotten
    named = np.unique(np.concatenate([*of_rows, changes.user_inputs[0]]))
    old = named[named < base]
    known = np.concatenate([old, np.arange(base, base + len(changes.new_users))])
    to = known.copy()
    if piece.partitions is not None:
        homes = homes_of([*rows.ids(old), *changes.new_users], partitions)
        to[~np.isin(homes, list(piece.partitions))] = -1
    taken = np.flatnonzero(to[len(old) :] >= 0)
    to[len(old) + taken] = base + len(all_new) + np.arange(len(taken))
    all_new += [changes.new_users[at] for at in taken.tolist()]

    def place(handles: Handles) -> Handles:
        return to[np.searchsorted(known, handles)] if len(known) else _NONE

    return place


def _columns(vectors: VectorChanges) -> tuple[NDArray[Any], ...]:
    return vectors.handles, np.asarray(vectors.matrix), vectors.present


def _last(parts: Sequence[tuple[NDArray[Any], ...]]) -> tuple[NDArray[Any], ...]:
    """Return the columns together, of each handle the last one's, by ascending handles."""
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    handles = columns[0]
    _, first = np.unique(handles[::-1], return_index=True)
    chosen = len(handles) - 1 - first
    return tuple(column[chosen] for column in columns)


def _offsets(parts: Iterable[Offsets]) -> Offsets:
    handles, offsets = _last(list(parts))
    return handles, offsets


def _together(parts: Sequence[ChangedRows]) -> ChangedRows:
    """Return the rows of all parts, of which none has another's users, by ascending users."""
    users = np.concatenate([rows.users for rows in parts])
    lengths = np.concatenate([np.diff(rows.indptr) for rows in parts])
    items, strengths = (np.concatenate([getattr(rows, name) for rows in parts]) for name in ("items", "strengths"))
    order = np.argsort(users, kind="stable")
    starts = np.cumsum(lengths) - lengths
    indptr = np.concatenate([[0], np.cumsum(lengths[order])])
    places = np.arange(indptr[-1]) + np.repeat(starts[order] - indptr[:-1], lengths[order])
    return ChangedRows(users[order], indptr, items[places], strengths[places])
