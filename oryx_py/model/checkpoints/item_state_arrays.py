"""The arrays of a checkpoint's files that say what users of other processes say of new items."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oryx_py.model.ids.packed_ids import PackedIds
from oryx_py.model.state.item_states import GonePairs, StateRows

__all__ = ["GONE", "arrays_of_rows", "row_arrays", "rows_in"]

GONE: dict[str, tuple[Any, tuple[int | None, ...]]] = {
    "states.gone.hashes": (np.uint64, (None, 2)),
    "states.gone.terms": (np.int64, (None,)),
    "states.gone.inputs": (np.int64, (None,)),
    "states.gone.user_homes": (np.int32, (None,)),
    "states.gone.item_homes": (np.int32, (None,)),
}
"""Not in checkpoints of format 1.1 and before, which name pairs that are gone."""


def arrays_of_rows(rows: StateRows) -> dict[str, NDArray[Any]]:
    """Return the arrays, by the names of their files without the ending."""
    items, users = PackedIds.of(rows.items), PackedIds.of(rows.users)
    return {
        "states.items.offsets": items.offsets,
        "states.items.bytes": items.data,
        "states.users.offsets": users.offsets,
        "states.users.bytes": users.data,
        "states.terms": rows.terms,
        "states.inputs": rows.inputs,
        "states.strengths": rows.strengths,
        "states.vectors": rows.vectors,
        "states.gone.hashes": rows.gone.hashes,
        "states.gone.terms": rows.gone.terms,
        "states.gone.inputs": rows.gone.inputs,
        "states.gone.user_homes": rows.gone.user_homes,
        "states.gone.item_homes": rows.gone.item_homes,
    }


def row_arrays(features: int) -> dict[str, tuple[Any, tuple[int | None, ...]]]:
    """Return what every array has to be; None in a shape stands for any length."""
    column: tuple[Any, tuple[int | None, ...]] = (np.int64, (None,))
    ids = {
        f"states.{side}.{part}": kind
        for side in ("items", "users")
        for part, kind in (("offsets", column), ("bytes", (np.uint8, (None,))))
    }
    numbers = {"states.terms": column, "states.inputs": column, "states.strengths": (np.float64, (None,))}
    return {**ids, **numbers, "states.vectors": (np.float32, (None, features)), **GONE}


def rows_in(arrays: Mapping[str, NDArray[Any]]) -> StateRows:
    """Return the rows that these arrays are.

    Raises:
        ValueError: their lengths differ, an ID is no UTF-8, or a number is not finite.
    """
    items, users = (
        PackedIds(arrays[f"states.{side}.offsets"], arrays[f"states.{side}.bytes"]).decoded()
        for side in ("items", "users")
    )
    columns = [arrays[f"states.{column}"] for column in ("terms", "inputs", "strengths", "vectors")]
    if {len(items), len(users), *map(len, columns)} != {len(items)}:
        raise ValueError("of the states of items, columns differ in length")
    of_gone = [arrays[name] for name in GONE if name in arrays]
    gone = GonePairs(*of_gone) if of_gone else GonePairs.none()
    if len({len(gone.hashes), len(gone.terms), len(gone.inputs), len(gone.user_homes), len(gone.item_homes)}) != 1:
        raise ValueError("of the states of items, columns of pairs that are gone differ in length")
    terms, inputs, strengths, vectors = columns
    rows = StateRows(items, users, terms, inputs, strengths, vectors, gone)
    if np.isinf(rows.strengths).any() or not np.isfinite(rows.vectors).all():
        raise ValueError("of the states of items, numbers are not finite")
    return rows
