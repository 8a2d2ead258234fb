"""A generation's data files, written from memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oryx_py.errors import NotReady, UserError
from oryx_py.model.files import FileEntry, storage, write_array
from oryx_py.model.generations.csr import Csr
from oryx_py.model.generations.history_files import history_files
from oryx_py.model.generations.manifest import MANIFEST, generation_files
from oryx_py.model.ids.id_table import write_ids
from oryx_py.model.ids.packed_ids import ArrowStrings, PackedIds
from oryx_py.numerics.gram import gram

__all__ = ["not_finite", "refuse_diverged", "write_data"]


@dataclass(frozen=True, slots=True)
class _Side:
    """What one side has beside its histories."""

    name: str
    ids: PackedIds
    factors: NDArray[np.float32]


def write_data(
    into: Path,
    *,
    user_ids: Sequence[str] | ArrowStrings | PackedIds,
    item_ids: Sequence[str] | ArrowStrings | PackedIds,
    user_factors: NDArray[np.floating[Any]],
    item_factors: NDArray[np.floating[Any]],
    user_histories: Csr,
) -> dict[str, FileEntry]:
    """Write a generation's data files from memory, fsynced; returns what the manifest says of each.

    IDs ascend bytewise (as sorted Python strings do); row ``i`` of the factors [rows, features] belongs to ID ``i`` and
    is written as float32. ``user_histories`` has a row for each user, none empty, whose indices are item rows in any
    order, none twice.

    Raises:
        NotReady: there are no users, or no items, to make a generation of.
        UserError: factors are not finite: the training diverged.
        ValueError: arguments do not fit together, or a file is there already.
        StoreUnavailable: the disk does not take the files.
    """
    users = _side("users", user_ids, user_factors)
    items = _side("items", item_ids, item_factors)
    if users.factors.shape[1] != items.factors.shape[1]:
        raise ValueError(f"users have {users.factors.shape[1]} features, items {items.factors.shape[1]}")
    item_histories = _checked(user_histories, users, items).transposed(len(items.ids))
    # Transposed twice, every row ascends, whatever order the caller's had.
    user_histories = item_histories.transposed(len(users.ids))
    if not user_histories.ascends():
        raise ValueError("user_histories has a pair of user and item twice: fold them first")
    with storage(into):
        for file in (*generation_files(), MANIFEST):
            if (into / file).exists():
                raise ValueError(f"{into / file} exists: a generation is written once")
        return _write_side(into, users, user_histories) | _write_side(into, items, item_histories)


def not_finite(factors: NDArray[np.float32]) -> int:
    """Return of how many rows a value is NaN or infinite."""
    return int((~np.isfinite(factors).all(axis=1)).sum())


def refuse_diverged(side: str, wrong: int, rows: int) -> None:
    """Raise UserError where factors of rows of a side are not finite."""
    if wrong:
        raise UserError(f"training diverged: factors of {wrong} of {rows} {side} are not finite; raise model.lambda")


def _side(name: str, ids: Sequence[str] | ArrowStrings | PackedIds, factors: NDArray[np.floating[Any]]) -> _Side:
    packed = PackedIds.of(ids)
    if not len(packed):
        raise NotReady(f"there are no {name} to make a generation of: send interactions first")
    with np.errstate(over="ignore"):  # what is beyond float32 becomes infinite, and is refused below
        published = np.ascontiguousarray(factors, np.float32)
    if published.ndim != 2 or len(published) != len(packed) or not published.shape[1]:
        raise ValueError(f"{name}: factors of shape {published.shape} do not go with {len(packed)} IDs")
    refuse_diverged(name, not_finite(published), len(packed))
    return _Side(name, packed, published)


def _checked(histories: Csr, users: _Side, items: _Side) -> Csr:
    if len(histories) != len(users.ids):
        raise ValueError(f"user_histories has {len(histories)} rows for {len(users.ids)} users")
    if fault := histories.fault(len(items.ids)):
        raise ValueError(f"user_histories.{fault[0]} {fault[1]}")
    if (empty := np.flatnonzero(np.diff(histories.indptr) == 0)).size:
        raise ValueError(f"the user in row {empty[0]} has no history: such users get no row")
    return histories


def _write_side(into: Path, side: _Side, histories: Csr) -> dict[str, FileEntry]:
    arrays: dict[str, NDArray[Any]] = {
        f"{side.name}.npy": side.factors,
        f"{side.name}.gram.npy": gram(side.factors),
        **dict(zip(history_files(side.name), (histories.indptr, histories.indices, histories.strengths), strict=True)),
    }
    written = {file: write_array(into / file, array) for file, array in arrays.items()}
    return written | write_ids(into, side.name, side.ids)
