"""The manifest of a generation: written last, it is the commit; without it the generation does not exist.

It carries the checksum of itself (xxh3_128 of the file's bytes with this checksum's 32 digits as zeros), because the
input offsets it states decide what counts twice or not at all, and everything else hangs on its list of files.
"""

import os
import re
from pathlib import Path
from typing import Any, Literal

import msgspec
import xxhash

from oryx_py.errors import CorruptGeneration, UnsupportedFormat
from oryx_py.events.fold import FoldSettings
from oryx_py.model.files import REMEDY, FileEntry, sync_directory, write_file
from oryx_py.model.ids import id_files
from oryx_py.numerics.objective import Objective

__all__ = [
    "FORMAT",
    "MANIFEST",
    "Counts",
    "FileEntry",
    "Manifest",
    "check_format",
    "decode_manifest",
    "generation_files",
    "read_manifest",
    "write_manifest",
]

FORMAT = "1.2"
MANIFEST = "manifest.json"

_ONE_SIDE = ("{}.npy", "{}.gram.npy", "{}.history.indptr.npy", "{}.history.indices.npy", "{}.history.strengths.npy")
_UNSUMMED = "0" * 32
_CHECKSUM = re.compile(rb'"checksum":\s*"([0-9a-f]{32})"')


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
    checksum: str = _UNSUMMED

    @property
    def next_offsets(self) -> dict[int, int]:
        """By input partition the first offset that the model does not cover."""
        return {partition: end for partition, (_, end) in self.input.items()}


def generation_files() -> list[str]:
    """The files that every generation has beside its manifest."""
    return [
        name for side in ("users", "items") for name in (*(part.format(side) for part in _ONE_SIDE), *id_files(side))
    ]


class _Format(msgspec.Struct):
    format: str


def check_format(raw: bytes, where: Path | str, supported: str = FORMAT) -> None:
    """Raise UnsupportedFormat where ``format`` in the JSON has a higher major number than ``supported``.

    Minor numbers rise when keys are added that may be ignored.

    Raises:
        UnsupportedFormat: it does.
        ValueError: there is no format in it.
    """
    format_ = msgspec.json.decode(raw, type=_Format).format
    major = format_.partition(".")[0]
    if not (major.isascii() and major.isdigit()):
        raise ValueError(f"{format_!r} is no format version")
    if int(major) > int(supported.partition(".")[0]):
        raise UnsupportedFormat(f"{where} has format {format_}, this program reads up to {supported}: upgrade oryx-py")


def read_manifest(path: Path) -> Manifest:
    """Read a manifest; keys that this version does not know are ignored.

    Raises:
        CorruptGeneration: it is missing or damaged.
        UnsupportedFormat: it was written by a newer version.
    """
    try:
        raw = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise CorruptGeneration(f"{path} is missing, so this generation was never committed: {REMEDY}") from None
    return decode_manifest(raw, path)


def decode_manifest(raw: bytes, where: Path | str) -> Manifest:
    """Return the manifest that a file's bytes are; ``where`` it was, for messages.

    Raises:
        CorruptGeneration: it is damaged.
        UnsupportedFormat: it was written by a newer version.
    """
    stated, actual = _checksums(raw)
    if stated != actual:
        raise CorruptGeneration(f"{where} has another checksum than it says: {REMEDY}")
    try:
        check_format(raw, where)
        if not stated:
            raise ValueError("it has no checksum")
        return msgspec.json.decode(raw, type=Manifest)
    except (msgspec.MsgspecError, ValueError) as error:
        raise CorruptGeneration(f"{where} is no manifest ({error}): {REMEDY}") from None


def write_manifest(path: Path, manifest: Manifest) -> Manifest:
    """Write a manifest that appears at once and whole, after everything else in its directory is on the disk.

    1. fsync the directory, so that no file's name comes later than the manifest's;
    2. write a temporary file and fsync it;
    3. rename it to ``manifest.json``: the commit;
    4. fsync the directory.

    Fails 1 or 2: there is no generation. Fails 3 or 4: there is none, or a whole one. Returns it with its checksum.
    """
    _, checksum = _checksums(_encode(msgspec.structs.replace(manifest, checksum=_UNSUMMED)))
    whole = msgspec.structs.replace(manifest, checksum=checksum)
    sync_directory(path.parent)
    temporary = path.with_name(path.name + ".tmp")
    temporary.unlink(missing_ok=True)
    write_file(temporary, lambda file: file.write(_encode(whole)))
    os.replace(temporary, path)  # noqa: PTH105 - Path.replace says the same by another name
    sync_directory(path.parent)
    return whole


def _encode(manifest: Manifest) -> bytes:
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"


def _checksums(raw: bytes) -> tuple[str, str]:
    """The checksum that a manifest's bytes state, the last of that name, and the one they have; empty if none."""
    found = list(_CHECKSUM.finditer(raw))
    if not found:
        return "", ""
    start, end = found[-1].span(1)
    return raw[start:end].decode(), xxhash.xxh3_128_hexdigest(raw[:start] + _UNSUMMED.encode() + raw[end:])
