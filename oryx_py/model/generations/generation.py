"""A generation as it is read: mapped, checked, never changed."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from oryx_py.errors import CorruptGeneration
from oryx_py.model.files import REMEDY, check_content, check_size, map_array, storage
from oryx_py.model.generations.csr import Csr
from oryx_py.model.generations.manifest import MANIFEST, Manifest, generation_files, read_manifest
from oryx_py.model.generations.writer import write_generation
from oryx_py.model.ids.id_table import IdTable
from oryx_py.numerics.biases import Biases

__all__ = ["Csr", "Generation", "named_at_ms", "new_generation_name", "write_generation"]


def new_generation_name(now_ms: int, rng: np.random.Generator) -> str:
    """A name that sorts by time and meets no other: ``20260731T142530123-7f3a9c04``; no colon, which HDFS refuses."""
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    return f"{now:%Y%m%dT%H%M%S}{now_ms % 1000:03d}-{rng.integers(1 << 32):08x}"


def named_at_ms(name: str) -> int | None:
    """Return the time of which `new_generation_name` has made a name, None for another name."""
    try:
        seconds = datetime.strptime(name[:15], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
        return (seconds - datetime.fromtimestamp(0, UTC)) // timedelta(milliseconds=1) + int(name[15:18])
    except ValueError:
        return None


@dataclass(frozen=True, slots=True, eq=False)
class Generation:
    """A trained model, and the folded histories it was trained from; rows in bytewise order of the IDs.

    ``user_factors`` float32[users, features] and ``item_factors`` float32[items, features]: as published, finite.
    ``user_histories``: a row for each user, indices are item rows; ``item_histories`` is its transpose.
    ``user_gram`` XᵀX and ``item_gram`` YᵀY, float64[features, features], of the factors as published.
    All arrays are read-only and, but for the Gram matrices, mapped: processes of a host share the pages, and a
    generation may be deleted while it is open. Threads may share it.
    """

    path: Path
    name: str
    manifest: Manifest
    users: IdTable
    items: IdTable
    user_factors: NDArray[np.float32]
    item_factors: NDArray[np.float32]
    user_histories: Csr
    item_histories: Csr
    user_gram: NDArray[np.float64]
    item_gram: NDArray[np.float64]

    @property
    def latent_features(self) -> int:
        """How many of a vector's columns, the first ones, are factors: all but those of biases."""
        return self.manifest.features - (2 if self.manifest.objective.biases is not None else 0)

    @classmethod
    def open(
        cls,
        path: Path,
        verify: Literal["sizes", "checksums"] = "checksums",
        on_checked: Callable[[int, int], None] = lambda _checked, _all: None,
    ) -> "Generation":
        """Map a committed generation.

        Sizes, dtypes and shapes are always checked, and that the Gram matrices are finite. "checksums" reads every file
        once: its checksum, and that what is in it fits together. "sizes" opens in milliseconds; take it where the same
        files were checked before on this machine. ``on_checked`` is told, file by file, how many of how many bytes have
        the right checksum.

        Raises:
            CorruptGeneration: a file is missing, damaged, or does not fit; the message names it.
            UnsupportedFormat: it was written by a newer version.
            StoreUnavailable: the disk does not give a file.
        """
        with storage(path):
            generation = cls._mapped(path, _checked_manifest(path, verify, on_checked))
            if verify == "checksums":
                generation._check_content()
        return generation

    @classmethod
    def _mapped(cls, path: Path, manifest: Manifest) -> "Generation":
        counts, features = manifest.counts, manifest.features
        if min(counts.users, counts.items, features) < 1:
            raise CorruptGeneration(
                f"{path / MANIFEST} states {counts.users} users, {counts.items} items, {features} features: {REMEDY}"
            )
        biases = manifest.objective.biases
        if biases is not None and (features < 3 or biases != Biases.last(features, biases.mean)):
            raise CorruptGeneration(
                f"{path / MANIFEST} has biases in columns {biases.user} and {biases.item} of {features}, which are not "
                f"the last two: {REMEDY}"
            )
        return cls(
            path=path,
            name=manifest.generation,
            manifest=manifest,
            users=IdTable.open(path, "users", counts.users),
            items=IdTable.open(path, "items", counts.items),
            user_factors=map_array(path / "users.npy", np.float32, (counts.users, features)),
            item_factors=map_array(path / "items.npy", np.float32, (counts.items, features)),
            user_histories=_histories(path, "users", counts.users, counts.pairs),
            item_histories=_histories(path, "items", counts.items, counts.pairs),
            user_gram=_gram(path / "users.gram.npy", features),
            item_gram=_gram(path / "items.gram.npy", features),
        )

    def _check_content(self) -> None:
        self.users.check(self.path, "users")
        self.items.check(self.path, "items")
        for side, factors in (("users", self.user_factors), ("items", self.item_factors)):
            if not np.isfinite(factors).all():
                raise CorruptGeneration(f"{self.path / side}.npy is not all finite: {REMEDY}")
        for side, histories, columns in (
            ("users", self.user_histories, len(self.items)),
            ("items", self.item_histories, len(self.users)),
        ):
            fault = histories.fault(columns)
            if fault is None and not histories.ascends():
                fault = ("indices", "does not ascend within each row")
            if fault:
                raise CorruptGeneration(f"{self.path / side}.history.{fault[0]}.npy {fault[1]}: {REMEDY}")


def _checked_manifest(
    path: Path, verify: Literal["sizes", "checksums"], on_checked: Callable[[int, int], None]
) -> Manifest:
    manifest = read_manifest(path / MANIFEST)
    if unlisted := sorted(set(generation_files()) - set(manifest.files)):
        raise CorruptGeneration(f"{path / MANIFEST} does not list {unlisted[0]}: {REMEDY}")
    if outside := [name for name in manifest.files if Path(name).is_absolute() or ".." in Path(name).parts]:
        raise CorruptGeneration(f"{path / MANIFEST} lists {outside[0]}, which is outside: {REMEDY}")
    for name, entry in manifest.files.items():
        check_size(path / name, entry)
    if verify == "checksums":
        checked, size = 0, sum(entry.bytes for entry in manifest.files.values())
        for name, entry in manifest.files.items():
            check_content(path / name, entry)
            checked += entry.bytes
            on_checked(checked, size)
    return manifest


def _histories(path: Path, side: str, rows: int, pairs: int) -> Csr:
    return Csr(
        map_array(path / f"{side}.history.indptr.npy", np.int64, (rows + 1,)),
        map_array(path / f"{side}.history.indices.npy", np.int32, (pairs,)),
        map_array(path / f"{side}.history.strengths.npy", np.float64, (pairs,)),
    )


def _gram(path: Path, features: int) -> NDArray[np.float64]:
    gram = np.array(map_array(path, np.float64, (features, features)))
    if not np.isfinite(gram).all():
        raise CorruptGeneration(f"{path} is not all finite: {REMEDY}")
    gram.flags.writeable = False
    return gram
