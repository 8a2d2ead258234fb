"""Writing a generation: everything on the disk first, the manifest last."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oryx_py.errors import NotReady, UserError
from oryx_py.events.fold import FoldSettings
from oryx_py.model.csr import Csr
from oryx_py.model.files import FileEntry, adopt_file, storage, sync_directory, write_array
from oryx_py.model.ids import write_ids
from oryx_py.model.manifest import MANIFEST, Counts, Manifest, generation_files, write_manifest
from oryx_py.model.packed_ids import ArrowStrings, PackedIds
from oryx_py.numerics.gram import gram
from oryx_py.numerics.objective import Objective

__all__ = ["write_generation"]


@dataclass(frozen=True, slots=True)
class _Side:
    """What one side has beside its histories."""

    name: str
    ids: PackedIds
    factors: NDArray[np.float32]


def write_generation(
    into: Path,
    *,
    name: str,
    user_ids: Sequence[str] | ArrowStrings | PackedIds,
    item_ids: Sequence[str] | ArrowStrings | PackedIds,
    user_factors: NDArray[np.floating[Any]],
    item_factors: NDArray[np.floating[Any]],
    user_histories: Csr,
    objective: Objective,
    fold: FoldSettings,
    trainer: str,
    created_ms: int,
    as_of_ms: int,
    input: Mapping[int, tuple[int, int]],  # noqa: A002 - the manifest's own word
    interactions: int,
    rejected: int,
    repeats: int = 0,
    dedupe_from: Mapping[int, tuple[int, int]] | None = None,
    parent: str | None = None,
    hyperparameters: Mapping[str, Any] | None = None,
    metrics: Mapping[str, Any] | None = None,
    versions: Mapping[str, str] | None = None,
    index: str | None = None,
) -> Manifest:
    """Write a generation into an empty directory, or one that has an index or tables in row order already.

    IDs ascend bytewise (as sorted Python strings do); row ``i`` of the factors [rows, features] belongs to ID ``i`` and
    is written as float32. ``user_histories`` has a row for each user, none empty, whose indices are item rows in any
    order, none twice. The rest is as in `Manifest`; ``versions`` are added to those of Python, NumPy and this package.

    1. check everything; 2. write and fsync each file, and fsync those found; 3. write the manifest (`write_manifest`).
    Fails any of them, there is no generation, and the directory is rubbish.

    Raises:
        NotReady: there are no users, or no items, to make a generation of.
        UserError: factors are not finite: the training diverged.
        ValueError: arguments do not fit together.
        StoreUnavailable: the disk does not take the files.
    """
    users = _side("users", user_ids, user_factors)
    items = _side("items", item_ids, item_factors)
    if users.factors.shape[1] != items.factors.shape[1]:
        raise ValueError(f"users have {users.factors.shape[1]} features, items {items.factors.shape[1]}")
    if objective.feedback != fold.feedback:
        raise ValueError(f"the objective is for {objective.feedback} feedback, the fold for {fold.feedback}")
    item_histories = _checked(user_histories, users, items).transposed(len(items.ids))
    # Transposed twice, every row ascends, whatever order the caller's had.
    user_histories = item_histories.transposed(len(users.ids))
    if not user_histories.ascends():
        raise ValueError("user_histories has a pair of user and item twice: fold them first")
    with storage(into):
        files = _adopted(into)
        for side, histories in ((users, user_histories), (items, item_histories)):
            files |= _write_side(into, side, histories)
        return write_manifest(
            into / MANIFEST,
            Manifest(
                generation=name,
                created_ms=created_ms,
                parent=parent,
                trainer=trainer,
                feedback=objective.feedback,
                features=users.factors.shape[1],
                objective=objective,
                fold=fold,
                hyperparameters=dict(hyperparameters or {}),
                as_of_ms=as_of_ms,
                counts=Counts(len(users.ids), len(items.ids), user_histories.pairs, interactions, rejected, repeats),
                metrics=dict(metrics or {}),
                input={int(partition): (int(start), int(end)) for partition, (start, end) in input.items()},
                dedupe_from=dict(dedupe_from or {}),
                index=index,
                versions=_versions() | dict(versions or {}),
                files=dict(sorted(files.items())),
            ),
        )


def _side(name: str, ids: Sequence[str] | ArrowStrings | PackedIds, factors: NDArray[np.floating[Any]]) -> _Side:
    packed = PackedIds.of(ids)
    if not len(packed):
        raise NotReady(f"there are no {name} to make a generation of: send interactions first")
    with np.errstate(over="ignore"):  # what is beyond float32 becomes infinite, and is refused below
        published = np.ascontiguousarray(factors, np.float32)
    if published.ndim != 2 or len(published) != len(packed) or not published.shape[1]:
        raise ValueError(f"{name}: factors of shape {published.shape} do not go with {len(packed)} IDs")
    if (wrong := np.flatnonzero(~np.isfinite(published).all(axis=1))).size:
        raise UserError(
            f"training diverged: factors of {wrong.size} of {len(packed)} {name} are not finite; raise model.lambda"
        )
    return _Side(name, packed, published)


def _checked(histories: Csr, users: _Side, items: _Side) -> Csr:
    if len(histories) != len(users.ids):
        raise ValueError(f"user_histories has {len(histories)} rows for {len(users.ids)} users")
    if fault := histories.fault(len(items.ids)):
        raise ValueError(f"user_histories.{fault[0]} {fault[1]}")
    if (empty := np.flatnonzero(np.diff(histories.indptr) == 0)).size:
        raise ValueError(f"the user in row {empty[0]} has no history: such users get no row")
    return histories


def _adopted(into: Path) -> dict[str, FileEntry]:
    ours = {*generation_files(), MANIFEST}
    found = {}
    for path in sorted(into.rglob("*")):
        name = path.relative_to(into).as_posix()
        if name in ours:
            raise ValueError(f"{path} exists: a generation is written once")
        if path.is_dir():
            sync_directory(path)
        else:
            found[name] = adopt_file(path)
    return found


def _write_side(into: Path, side: _Side, histories: Csr) -> dict[str, FileEntry]:
    arrays: dict[str, NDArray[Any]] = {
        f"{side.name}.npy": side.factors,
        f"{side.name}.gram.npy": gram(side.factors),
        f"{side.name}.history.indptr.npy": histories.indptr,
        f"{side.name}.history.indices.npy": histories.indices,
        f"{side.name}.history.strengths.npy": histories.strengths,
    }
    written = {file: write_array(into / file, array) for file, array in arrays.items()}
    return written | write_ids(into, side.name, side.ids)


def _versions() -> dict[str, str]:
    ours = {"python": platform.python_version(), "numpy": np.__version__}
    try:
        return ours | {"oryx-py": metadata.version("oryx-py")}
    except metadata.PackageNotFoundError:  # run from a source tree that is not installed
        return ours
