"""The arrays of a checkpoint's files, and what they mean (`oryx_py.model.checkpoints.checkpoint_files` lists them)."""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from oryx_py.model.ids.packed_ids import PackedIds
from oryx_py.model.ids.traces import Traces
from oryx_py.model.state.changed_rows import ChangedRows
from oryx_py.model.state.changes import Offsets, StateChanges, VectorChanges
from oryx_py.model.state.histories import HistoryChanges

__all__ = ["TRACES", "Arrays", "arrays_of", "changes_in", "dtypes_and_shapes", "fault_of"]

Arrays: TypeAlias = Mapping[str, NDArray[Any]]
DtypeAndShape: TypeAlias = tuple[Any, tuple[int | None, ...]]
TRACES: Final[dict[str, DtypeAndShape]] = {
    f"{side}.traces.{part}": kind
    for side in ("users", "items")
    for part, kind in (
        ("hashes", (np.uint64, (None, 2))),
        ("inputs", (np.int64, (None,))),
        ("homes", (np.int32, (None,))),
        ("forgotten", (np.bool_, (None,))),
    )
}
"""Not in checkpoints of format 1.1 and before."""


def arrays_of(changes: StateChanges) -> dict[str, NDArray[Any]]:
    """Return the arrays, by the names of their files without the ending."""
    rows, histories = changes.histories.rows, changes.histories
    arrays: dict[str, NDArray[Any]] = {
        "pairs.users": rows.users,
        "pairs.indptr": rows.indptr,
        "pairs.items": rows.items,
        "pairs.strengths": rows.strengths,
    }
    of_users = changes.new_users, changes.user_vectors, histories.forgotten, changes.user_inputs, changes.user_traces
    of_items = (
        changes.new_items,
        changes.item_vectors,
        changes.forgotten_items,
        changes.item_inputs,
        changes.item_traces,
    )
    for side, (new, vectors, forgotten, inputs, traces) in (("users", of_users), ("items", of_items)):
        packed = PackedIds.of(new)
        arrays |= {
            f"{side}.new.offsets": packed.offsets,
            f"{side}.new.bytes": packed.data,
            f"{side}.vectors": vectors.matrix,
            f"{side}.vectors.handles": vectors.handles,
            f"{side}.vectors.present": vectors.present,
            f"{side}.forgotten": forgotten,
            f"{side}.inputs": inputs[1],
            f"{side}.inputs.handles": inputs[0],
            f"{side}.traces.hashes": traces.hashes,
            f"{side}.traces.inputs": traces.inputs,
            f"{side}.traces.homes": traces.homes,
            f"{side}.traces.forgotten": traces.forgotten,
        }
    return arrays


def dtypes_and_shapes(features: int) -> dict[str, DtypeAndShape]:
    """Return what every array has to be; None in a shape stands for any length."""
    column: DtypeAndShape = (np.int64, (None,))
    parts: dict[str, DtypeAndShape] = {
        "pairs.users": column,
        "pairs.indptr": column,
        "pairs.items": (np.int32, (None,)),
        "pairs.strengths": (np.float64, (None,)),
    }
    for side in ("users", "items"):
        parts |= {
            f"{side}.new.offsets": column,
            f"{side}.new.bytes": (np.uint8, (None,)),
            f"{side}.vectors": (np.float32, (None, features)),
            f"{side}.vectors.handles": column,
            f"{side}.vectors.present": (np.bool_, (None,)),
            f"{side}.forgotten": column,
            f"{side}.inputs": column,
            f"{side}.inputs.handles": column,
        }
    return parts | TRACES


def changes_in(arrays: Arrays) -> StateChanges:
    """Return the changes that these arrays are.

    Raises:
        ValueError: the new IDs are no UTF-8, or their offsets are no such.
    """
    rows = ChangedRows(*(arrays[f"pairs.{part}"] for part in ("users", "indptr", "items", "strengths")))

    def pair_of(what: str) -> Offsets:
        return arrays[f"{what}.handles"], arrays[what]

    def vectors(side: str) -> VectorChanges:
        parts = (arrays[f"{side}.vectors{part}"] for part in (".handles", "", ".present"))
        return VectorChanges(*parts)

    def new(side: str) -> list[str]:
        return PackedIds(arrays[f"{side}.new.offsets"], arrays[f"{side}.new.bytes"]).decoded()

    def traces(side: str) -> Traces:
        columns = [arrays[name] for name in TRACES if name.startswith(side) and name in arrays]
        return Traces(*columns) if columns else Traces.none()

    return StateChanges(
        new_users=new("users"),
        new_items=new("items"),
        user_vectors=vectors("users"),
        item_vectors=vectors("items"),
        histories=HistoryChanges(rows, arrays["users.forgotten"]),
        forgotten_items=arrays["items.forgotten"],
        user_inputs=pair_of("users.inputs"),
        item_inputs=pair_of("items.inputs"),
        user_traces=traces("users"),
        item_traces=traces("items"),
    )


def fault_of(changes: StateChanges, base_users: int, base_items: int) -> str | None:
    """Say what would lead astray whoever loads these changes; None where nothing would."""
    users, items = base_users + len(changes.new_users), base_items + len(changes.new_items)
    histories = changes.histories
    wrong = histories.rows.fault(users, items)
    if wrong is not None:
        return f"of the changed pairs, {wrong}"
    for what, traces in (("users", changes.user_traces), ("items", changes.item_traces)):
        if not len(traces.hashes) == len(traces.inputs) == len(traces.homes) == len(traces.forgotten):
            return f"traces of {what}: columns differ in length"
    for what, handles, count in (
        ("forgotten users", (histories.forgotten,), users),
        ("forgotten items", (changes.forgotten_items,), items),
        ("offsets of users", changes.user_inputs, users),
        ("offsets of items", changes.item_inputs, items),
        ("vectors of users", (changes.user_vectors.handles, changes.user_vectors.matrix), users),
        ("vectors of items", (changes.item_vectors.handles, changes.item_vectors.matrix), items),
    ):
        given = handles[0]
        if len({len(column) for column in handles}) != 1:
            return f"{what}: columns differ in length"
        if len(given) and not (given.min() >= 0 and given.max() < count):
            return f"{what}: {given.min()} to {given.max()} are not all in 0 … {count - 1}"
    if not (np.isfinite(changes.user_vectors.matrix).all() and np.isfinite(changes.item_vectors.matrix).all()):
        return "vectors are not finite"
    return None
