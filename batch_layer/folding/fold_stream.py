"""What a task does with sorted rows, batch by batch, in bounded memory. Pure."""

from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from oryx_py.events.fold import FoldSettings, fold_columns

__all__ = ["PAIRS_SCHEMA", "fold_stream"]

_PAIRS: list["pa.Field[Any]"] = [
    pa.field("user", pa.string(), nullable=False),
    pa.field("item", pa.string(), nullable=False),
    pa.field("strength", pa.float64(), nullable=False),
]
PAIRS_SCHEMA: Final = pa.schema(_PAIRS)


_Column: TypeAlias = "pa.Array[Any]"

_NEVER: Final = int(np.iinfo(np.int64).min)
"""The offset of no forget: below those of imported rows, which are negative."""


def fold_stream(batches: Iterable[pa.RecordBatch], settings: FoldSettings) -> Iterator[pa.RecordBatch]:
    """Fold interactions, sorted by user, item, partition and offset, into pairs; batches of `PAIRS_SCHEMA`.

    Columns in: user, item (empty: forget the user), partition, offset, strength (null: delete). A user lies in one
    partition, so the offsets are the order. What is open at the end of a batch goes on as one row: the last pair's
    state, which folds with what follows as its rows would have, bit by bit; and the last user's newest forget.
    """
    open_pair: tuple[str, str, float] | None = None
    last_user, forgotten_up_to = None, _NEVER
    for batch in batches:
        users, items = batch.column("user"), batch.column("item")
        offsets: NDArray[np.int64] = batch.column("offset").to_numpy()
        strengths: NDArray[np.float64] = batch.column("strength").to_numpy(zero_copy_only=False)
        rows = len(offsets)
        if not rows:
            continue
        user_starts = _changes(users)
        user_numbers = np.cumsum(user_starts) - 1

        # An empty item sorts before all others: a user's forgets are met before what they forget.
        forgets: NDArray[np.bool_] = pc.equal(items, pa.scalar("")).to_numpy(zero_copy_only=False)
        newest_forget = np.full(user_numbers[-1] + 1, _NEVER, np.int64)
        if users[0].as_py() == last_user:
            newest_forget[0] = forgotten_up_to
        np.maximum.at(newest_forget, user_numbers[forgets], offsets[forgets])
        last_user, forgotten_up_to = users[rows - 1].as_py(), int(newest_forget[-1])

        kept = ~forgets & (offsets > newest_forget[user_numbers])
        if not kept.any():
            continue
        mask = pa.array(kept)
        users, items, strengths = users.filter(mask), items.filter(mask), strengths[kept]
        if open_pair is not None:
            user, item, state = open_pair
            users = pa.concat_arrays([pa.array([user], users.type), users])
            items = pa.concat_arrays([pa.array([item], items.type), items])
            strengths = np.concatenate([[state], strengths])
        starts = _changes(users) | _changes(items)
        folded = fold_columns(np.cumsum(starts) - 1, strengths, settings, int(starts.sum()))
        firsts = np.flatnonzero(starts)
        users, items = users.take(firsts), items.take(firsts)
        open_pair = (users[-1].as_py(), items[-1].as_py(), float(folded[-1]))
        yield from _pairs(users[:-1], items[:-1], folded[:-1])
    if open_pair is not None:
        yield from _pairs(pa.array([open_pair[0]]), pa.array([open_pair[1]]), np.array([open_pair[2]]))


def _pairs(users: _Column, items: _Column, strengths: NDArray[np.float64]) -> Iterator[pa.RecordBatch]:
    """The pairs that are something."""
    there = ~np.isnan(strengths)
    if there.any():
        mask = pa.array(there)
        columns = [users.filter(mask), items.filter(mask), pa.array(strengths[there])]
        yield pa.RecordBatch.from_arrays(columns, schema=PAIRS_SCHEMA)


def _changes(ids: _Column) -> NDArray[np.bool_]:
    """Bool[n]: whether each entry differs from the one before it; the first does."""
    changed = np.ones(len(ids), np.bool_)
    if len(ids) > 1:
        changed[1:] = pc.not_equal(ids[1:], ids[:-1]).to_numpy(zero_copy_only=False)
    return changed
