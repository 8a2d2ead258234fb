"""Writing a generation: everything on the disk first, the manifest last.

1. the data files: `write_data` from memory, or whoever else writes them at their final places;
2. `seal`: the index, a look at every file, its checksum, fsync;
3. `commit_generation`: the manifest.

Fails any of them, there is no generation, and the directory is rubbish.
"""

import platform
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, NotRequired, TypeAlias, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from oryx_py.events.fold import FoldSettings
from oryx_py.model.files import FileEntry, adopt_file, map_array, storage, sync_directory
from oryx_py.model.generations.csr import Csr
from oryx_py.model.generations.data_files import not_finite, refuse_diverged, write_data
from oryx_py.model.generations.history_files import history_files
from oryx_py.model.generations.manifest import MANIFEST, Counts, Manifest, generation_files, write_manifest
from oryx_py.model.ids.id_table import id_files
from oryx_py.model.ids.packed_ids import ArrowStrings, PackedIds
from oryx_py.numerics.objective import Objective

__all__ = [
    "BuildIndex",
    "Sealed",
    "Words",
    "commit_generation",
    "seal",
    "write_generation",
]

BuildIndex: TypeAlias = Callable[[NDArray[np.float32], Path], str | None]
"""`oryx_py.ports.index.IndexBuilder.build`."""

_BLOCK_ROWS = 1 << 16


@dataclass(frozen=True, slots=True)
class Sealed:
    """A generation's files but for the manifest, all on the disk: how much is in them, and what it says of each."""

    users: int
    items: int
    pairs: int
    features: int
    index: str | None
    files: Mapping[str, FileEntry]


class Words(TypedDict):
    """What a manifest says beside what can be read off the files, in the words of `Manifest`.

    ``versions`` are added to those of Python, NumPy and this package.
    """

    name: str
    objective: Objective
    fold: FoldSettings
    trainer: str
    created_ms: int
    as_of_ms: int
    input: Mapping[int, tuple[int, int]]
    interactions: int
    rejected: int
    history: NotRequired[int]
    repeats: NotRequired[int]
    dedupe_from: NotRequired[Mapping[int, tuple[int, int]]]
    parent: NotRequired[str | None]
    hyperparameters: NotRequired[Mapping[str, Any]]
    metrics: NotRequired[Mapping[str, Any]]
    versions: NotRequired[Mapping[str, str]]


def seal(into: Path, build_index: BuildIndex = lambda _factors, _into: None, *, threads: int = 1) -> Sealed:
    """Build the index, and fsync, check and sum every file of a directory that has all of a generation's data files.

    Raises:
        UserError: factors are not finite: the training diverged.
        CorruptGeneration: a file is missing, or does not go with the others.
        StoreUnavailable: the disk does not take it.
    """
    with storage(into):
        users = _mapped(into, "users", None)
        items = _mapped(into, "items", users.shape[1])
        pairs = len(map_array(into / history_files("users")[1], np.int32, (None,)))
        for side, factors in (("users", users), ("items", items)):
            _check_side(into, side, len(factors), pairs)
        with ThreadPoolExecutor(threads) as pool:
            for side, factors in (("users", users), ("items", items)):
                wrong = sum(pool.map(not_finite, np.array_split(factors, -(-len(factors) // _BLOCK_ROWS))))
                refuse_diverged(side, wrong, len(factors))
            index = build_index(items, into)
            found = sorted(into.rglob("*"))
            for path in found:
                if path.is_dir():
                    sync_directory(path)
            # The largest first, so that none of them is left to one thread at the end.
            paths = sorted((path for path in found if path.is_file()), key=lambda path: -path.stat().st_size)
            entries = dict(zip(paths, pool.map(adopt_file, paths), strict=True))
        files = {path.relative_to(into).as_posix(): entry for path, entry in entries.items()}
        return Sealed(len(users), len(items), pairs, users.shape[1], index, files)


def commit_generation(into: Path, sealed: Sealed, **words: Unpack[Words]) -> Manifest:
    """Write the manifest of sealed files, which makes them a generation.

    Raises:
        ValueError: arguments do not fit together.
        StoreUnavailable: the disk does not take it.
    """
    objective, fold = words["objective"], words["fold"]
    if objective.feedback != fold.feedback:
        raise ValueError(f"the objective is for {objective.feedback} feedback, the fold for {fold.feedback}")
    interactions, rejected, repeats = words["interactions"], words["rejected"], words.get("repeats", 0)
    with storage(into):
        return write_manifest(
            into / MANIFEST,
            Manifest(
                generation=words["name"],
                created_ms=words["created_ms"],
                parent=words.get("parent"),
                trainer=words["trainer"],
                feedback=objective.feedback,
                features=sealed.features,
                objective=objective,
                fold=fold,
                hyperparameters=dict(words.get("hyperparameters") or {}),
                as_of_ms=words["as_of_ms"],
                counts=Counts(sealed.users, sealed.items, sealed.pairs, interactions, rejected, repeats),
                metrics=dict(words.get("metrics") or {}),
                input={int(partition): (int(start), int(end)) for partition, (start, end) in words["input"].items()},
                history=words.get("history", 0),
                dedupe_from=dict(words.get("dedupe_from") or {}),
                index=sealed.index,
                versions=_versions() | dict(words.get("versions") or {}),
                files=dict(sorted(sealed.files.items())),
            ),
        )


def write_generation(
    into: Path,
    *,
    user_ids: Sequence[str] | ArrowStrings | PackedIds,
    item_ids: Sequence[str] | ArrowStrings | PackedIds,
    user_factors: NDArray[np.floating[Any]],
    item_factors: NDArray[np.floating[Any]],
    user_histories: Csr,
    index: str | None = None,
    **words: Unpack[Words],
) -> Manifest:
    """Write a generation from memory into an empty directory, or one with an ``index`` or tables in row order already.

    See `write_data` for the first arguments and `commit_generation` for the ``words``.

    Raises:
        NotReady, UserError, ValueError, StoreUnavailable: as these two do.
    """
    with storage(into):
        found = _adopted(into)
    written = write_data(
        into,
        user_ids=user_ids,
        item_ids=item_ids,
        user_factors=user_factors,
        item_factors=item_factors,
        user_histories=user_histories,
    )
    sealed = Sealed(
        users=len(user_histories),
        items=len(item_factors),
        pairs=user_histories.pairs,
        features=item_factors.shape[1],
        index=index,
        files=found | written,
    )
    return commit_generation(into, sealed, **words)


def _mapped(into: Path, side: str, features: int | None) -> NDArray[np.float32]:
    factors: NDArray[np.float32] = map_array(into / f"{side}.npy", np.float32, (None, features))
    return factors


def _check_side(into: Path, side: str, rows: int, pairs: int) -> None:
    """Whether the files of a side go with its factors, by their headers."""
    features = map_array(into / f"{side}.npy", np.float32, (rows, None)).shape[1]
    indptr, indices, strengths = (into / file for file in history_files(side))
    offsets, data, hashes, order = (into / file for file in id_files(side))
    map_array(into / f"{side}.gram.npy", np.float64, (features, features))
    map_array(indptr, np.int64, (rows + 1,))
    map_array(indices, np.int32, (pairs,))
    map_array(strengths, np.float64, (pairs,))
    map_array(offsets, np.int64, (rows + 1,))
    map_array(data, np.uint8, (None,))
    map_array(hashes, np.uint64, (rows,))
    map_array(order, np.int32, (rows,))


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


def _versions() -> dict[str, str]:
    ours = {"python": platform.python_version(), "numpy": np.__version__}
    try:
        return ours | {"oryx-py": metadata.version("oryx-py")}
    except metadata.PackageNotFoundError:  # run from a source tree that is not installed
        return ours
