"""The arrays of a checkpoint's files that say what users of other processes say of new items."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oryx_py.model.item_states import StateRows
from oryx_py.model.packed_ids import PackedIds

__all__ = ["arrays_of_rows", "row_arrays", "rows_in"]


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
    return {**ids, **numbers, "states.vectors": (np.float32, (None, features))}


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
    rows = StateRows(items, users, *columns)
    if np.isinf(rows.strengths).any() or not np.isfinite(rows.vectors).all():
        raise ValueError("of the states of items, numbers are not finite")
    return rows
