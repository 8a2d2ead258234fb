"""New rows folded onto the pairs of a generation, one range of users at a time. Pure."""

from collections.abc import Iterable
from typing import Any, Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from batch_layer.folding.fold_stream import PAIRS_SCHEMA, fold_stream
from batch_layer.folding.generation_pairs import Pairs
from batch_layer.folding.row_order import sorted_rows
from oryx_py.events.fold import FoldSettings
from oryx_py.model.ids.packed_ids import PackedIds
from oryx_py.numerics.murmur2 import partitions_of

__all__ = ["TOLD_SCHEMA", "merged"]

_TOLD: list["pa.Field[Any]"] = [
    pa.field("user", pa.string()),
    pa.field("item", pa.string()),
    pa.field("offset", pa.int64()),
    pa.field("strength", pa.float64()),
]
TOLD_SCHEMA: Final = pa.schema(_TOLD)
"""Rows to be folded: an empty item forgets the user, a null strength deletes."""

_BEFORE_ALL: Final = np.iinfo(np.int64).min + 1
"""The offset of what is known already: below every row's, above that of a forget that never was."""

_Column: TypeAlias = "pa.Array[Any]"


def merged(
    pairs: Pairs,
    start: int,
    stop: int,
    new: pa.Table,
    forgotten: Iterable[tuple[int, str]],
    partitions: int,
    fold: FoldSettings,
) -> pa.Table:
    """Return the pairs of users ``[start, stop)`` and of new ones between them after more rows: `PAIRS_SCHEMA`, sorted.

    The strengths have the bits that a fold of all rows gives: a known pair goes in as one row before the others.

    Args:
        pairs: of the generation before.
        start: the first user's row.
        stop: where the range ends.
        new: rows of `TOLD_SCHEMA` of these users, in any order, forgets of items applied among themselves.
        forgotten: partition and item of the forgets of items among all new rows: they come after every known pair.
        partitions: how many the input topic has.
        fold: the settings, also the generation's.
    """
    indptr = pairs.histories.indptr[start : stop + 1]
    rows = np.repeat(np.arange(start, stop), np.diff(indptr))
    items: NDArray[np.int32] = pairs.histories.indices[indptr[0] : indptr[-1]]
    strengths: NDArray[np.float64] = pairs.histories.strengths[indptr[0] : indptr[-1]]
    alive = ~_gone(pairs, start, stop, rows, items, forgotten, partitions)

    told_users = pc.unique(new.column("user").combine_chunks())
    touched = told_users.take(pc.sort_indices(told_users))
    names = [str(name).encode() for name in touched.to_pylist()]
    places = np.array([pairs.place(name, start, stop) for name in names], np.int64)
    known = np.array(
        [at < stop and pairs.user(at) == name for at, name in zip(places.tolist(), names, strict=True)], bool
    )

    is_touched = np.zeros(stop - start, np.bool_)
    is_touched[places[known] - start] = True
    open_ = is_touched[rows - start]
    folding, staying = np.flatnonzero(alive & open_), np.flatnonzero(alive & ~open_)
    before = _as_rows(pairs, rows[folding], items[folding], strengths[folding])
    folded = _folded(pa.concat_tables([before, new.select(TOLD_SCHEMA.names).cast(TOLD_SCHEMA)]), fold)

    left = _as_rows(pairs, rows[staying], items[staying], strengths[staying]).select(PAIRS_SCHEMA.names)
    if not folded.num_rows:
        return left.cast(PAIRS_SCHEMA)
    # A known user's row r has place 2r + 1; new ones, which ascend among themselves, 2r before it.
    of_touched = 2 * places + known
    at = pc.index_in(folded.column("user").combine_chunks(), value_set=touched).to_numpy()
    order = np.argsort(np.concatenate([2 * rows[staying] + 1, of_touched[at]]), kind="stable")
    return pa.concat_tables([left.cast(PAIRS_SCHEMA), folded]).combine_chunks().take(order)


def _folded(rows: pa.Table, fold: FoldSettings) -> pa.Table:
    batches = sorted_rows(rows).combine_chunks().to_batches() if rows.num_rows else []
    return pa.Table.from_batches(list(fold_stream(batches, fold)), PAIRS_SCHEMA)


def _gone(
    pairs: Pairs,
    start: int,
    stop: int,
    rows: NDArray[np.int64],
    items: NDArray[np.int32],
    forgotten: Iterable[tuple[int, str]],
    partitions: int,
) -> NDArray[np.bool_]:
    """Bool[pairs]: whose item was forgotten, in the partition of its user."""
    by_item: dict[int, set[int]] = {}
    for partition, item in forgotten:
        if (row := pairs.item_table.find(item)) >= 0:
            by_item.setdefault(row, set()).add(partition)
    gone = np.zeros(len(rows), np.bool_)
    if not by_item or start == stop:
        return gone
    offsets = pairs.users.offsets[start : stop + 1]
    homes = partitions_of(pairs.users.data[offsets[0] : offsets[-1]], offsets - offsets[0], partitions)
    for row, where in by_item.items():
        mine = np.flatnonzero(items == row)
        gone[mine] = np.isin(homes[rows[mine] - start], list(where))
    return gone


def _as_rows(
    pairs: Pairs, rows: NDArray[np.int64], items: NDArray[np.int32], strengths: NDArray[np.float64]
) -> pa.Table:
    """Pairs as rows of `TOLD_SCHEMA`, before all others."""
    offsets = np.full(len(rows), _BEFORE_ALL, np.int64)
    columns = [_strings(pairs.users, rows), _strings(pairs.items, items), pa.array(offsets), pa.array(strengths)]
    return pa.table(columns, schema=TOLD_SCHEMA)


def _strings(ids: PackedIds, rows: NDArray[Any]) -> _Column:
    """The IDs of rows, each distinct one copied once."""
    distinct, codes = np.unique(rows, return_inverse=True)
    starts = ids.offsets[distinct]
    lengths = ids.offsets[distinct + 1] - starts
    ends = np.concatenate([[0], np.cumsum(lengths)])
    data = ids.data[np.repeat(starts - ends[:-1], lengths) + np.arange(ends[-1])]
    cut, kept = (pa.py_buffer(array.tobytes()) for array in (ends.astype(np.int32), data))
    return pa.StringArray.from_buffers(len(distinct), cut, kept).take(pa.array(codes, pa.int64()))
