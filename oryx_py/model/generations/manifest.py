"""The manifest of a generation: written last, it is the commit; without it the generation does not exist."""

from pathlib import Path
from typing import Any, Literal

import msgspec

from oryx_py.errors import CorruptGeneration
from oryx_py.events.fold import FoldSettings
from oryx_py.model.files import REMEDY, FileEntry
from oryx_py.model.ids.id_table import id_files
from oryx_py.model.summed import UNSUMMED, decode_listing, decode_summed, write_summed
from oryx_py.numerics.objective import Objective

__all__ = [
    "FORMAT",
    "MANIFEST",
    "Counts",
    "FileEntry",
    "Manifest",
    "decode_manifest",
    "generation_files",
    "read_listing",
    "read_manifest",
    "read_raw",
    "write_manifest",
]

FORMAT = "1.2"
MANIFEST = "manifest.json"

_ONE_SIDE = ("{}.npy", "{}.gram.npy", "{}.history.indptr.npy", "{}.history.indices.npy", "{}.history.strengths.npy")


class Counts(msgspec.Struct, frozen=True):
    """Rows of both sides, folded pairs, and of the history its interactions and the records left out.

    Among the interactions are ``repeats`` that were ignored for their idempotency key.
    """

    users: int
    items: int
    pairs: int
    interactions: int
    rejected: int
    repeats: int = 0


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a generation is; times in milliseconds since 1970, UTC.

    ``parent`` is the generation trained before, None for the first. ``hyperparameters`` are the trainer's own settings.
    ``as_of_ms`` is the reference of decay and age. ``input`` has for each input partition the offsets ``[from, to)``
    that the model covers, and ``history`` is the history's commit that it was trained from, 0 where a version before
    1.2 did not say; ``dedupe_from``, where a later record may repeat one of these, the offset of the first that
    it may, or one below, and the partition's clock before that (`oryx_py.events.dedupe`).
    ``metrics`` name their protocol beside the numbers. ``index`` names the prebuilt index among
    ``files``, None where there is none. ``files`` has every file but the manifest, with ``/`` in names below.
    ``checksum`` is the file's own, set by `write_manifest`.
    """

    format: str = FORMAT
    generation: str
    created_ms: int
    parent: str | None = None
    trainer: str
    feedback: Literal["implicit", "explicit"]
    features: int
    objective: Objective
    fold: FoldSettings
    hyperparameters: dict[str, Any] = {}
    as_of_ms: int
    counts: Counts
    metrics: dict[str, Any] = {}
    input: dict[int, tuple[int, int]]
    history: int = 0
    dedupe_from: dict[int, tuple[int, int]] = {}
    index: str | None = None
    versions: dict[str, str] = {}
    files: dict[str, FileEntry]
    checksum: str = UNSUMMED

    @property
    def next_offsets(self) -> dict[int, int]:
        """By input partition the first offset that the model does not cover."""
        return {partition: end for partition, (_, end) in self.input.items()}


def generation_files() -> list[str]:
    """The files that every generation has beside its manifest."""
    return [
        name for side in ("users", "items") for name in (*(part.format(side) for part in _ONE_SIDE), *id_files(side))
    ]


def read_manifest(path: Path) -> Manifest:
    """Read a manifest; keys that this version does not know are ignored.

    Raises:
        CorruptGeneration: it is missing or damaged.
        UnsupportedFormat: it was written by a newer version.
    """
    return decode_manifest(read_raw(path), path)


def read_raw(path: Path) -> bytes:
    """Read a manifest's bytes.

    Raises:
        CorruptGeneration: it is missing.
    """
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise CorruptGeneration(f"{path} is missing, so it was never committed: {REMEDY}") from None


def read_listing(path: Path) -> dict[str, FileEntry]:
    """Read what a manifest of any kind lists.

    Raises:
        CorruptGeneration: it is missing or damaged.
    """
    return decode_listing(read_raw(path), path)


def decode_manifest(raw: bytes, where: Path | str) -> Manifest:
    """Return the manifest that a file's bytes are; ``where`` it was, for messages.

    Raises:
        CorruptGeneration: it is damaged.
        UnsupportedFormat: it was written by a newer version.
    """
    return decode_summed(raw, where, Manifest, FORMAT)


def write_manifest(path: Path, manifest: Manifest) -> Manifest:
    """Write a generation's manifest; see `oryx_py.model.summed.write_summed`. Returns it with its checksum."""
    return write_summed(path, manifest)
