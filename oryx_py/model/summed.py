"""Manifests: JSON files that are written last, and carry the checksum of themselves.

That is the xxh3_128 of the file's bytes with this checksum's 32 digits as zeros: what a manifest states decides what
counts twice or not at all, and everything else hangs on its list of files.
"""

import os
import re
from pathlib import Path
from typing import Protocol, TypeVar, cast

import msgspec
import xxhash

from oryx_py.errors import CorruptGeneration, UnsupportedFormat
from oryx_py.model.files import REMEDY, FileEntry, sync_directory, write_file

__all__ = ["UNSUMMED", "Summed", "check_format", "decode_listing", "decode_summed", "write_summed"]

UNSUMMED = "0" * 32
_CHECKSUM = re.compile(rb'"checksum":\s*"([0-9a-f]{32})"')


class Summed(Protocol):
    """A frozen msgspec struct with its own checksum; `UNSUMMED` until it is written."""

    @property
    def checksum(self) -> str:
        """The file's own, 32 hexadecimal digits."""
        ...


S = TypeVar("S", bound=Summed)


class _Format(msgspec.Struct):
    format: str


class _Listing(msgspec.Struct):
    files: dict[str, FileEntry]


def check_format(raw: bytes, where: Path | str, supported: str) -> None:
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


def decode_summed(raw: bytes, where: Path | str, as_type: type[S], supported: str) -> S:
    """Return the manifest that a file's bytes are; ``where`` it was, for messages.

    Keys that this version does not know are ignored.

    Raises:
        CorruptGeneration: it is damaged.
        UnsupportedFormat: it was written by a newer version.
    """
    stated = _checked(raw, where)
    try:
        check_format(raw, where, supported)
        if not stated:
            raise ValueError("it has no checksum")
        return msgspec.json.decode(raw, type=as_type)
    except (msgspec.MsgspecError, ValueError) as error:
        raise CorruptGeneration(f"{where} is no manifest ({error}): {REMEDY}") from None


def decode_listing(raw: bytes, where: Path | str) -> dict[str, FileEntry]:
    """Return the files that a manifest of any kind lists.

    Raises:
        CorruptGeneration: it is damaged.
    """
    _checked(raw, where)
    try:
        return msgspec.json.decode(raw, type=_Listing).files
    except msgspec.MsgspecError as error:
        raise CorruptGeneration(f"{where} is no manifest ({error}): {REMEDY}") from None


def write_summed(path: Path, manifest: S) -> S:
    """Write a manifest that appears at once and whole, after everything else in its directory is on the disk.

    1. fsync the directory, so that no file's name comes later than the manifest's;
    2. write a temporary file and fsync it;
    3. rename it: the commit;
    4. fsync the directory.

    Fails 1 or 2: there is nothing. Fails 3 or 4: there is nothing, or all of it. Returns it with its checksum.
    """
    _, checksum = _checksums(_encode(_with_checksum(manifest, UNSUMMED)))
    whole = _with_checksum(manifest, checksum)
    sync_directory(path.parent)
    temporary = path.with_name(path.name + ".tmp")
    temporary.unlink(missing_ok=True)
    write_file(temporary, lambda file: file.write(_encode(whole)))
    os.replace(temporary, path)  # noqa: PTH105 - Path.replace says the same by another name
    sync_directory(path.parent)
    return whole


def _with_checksum(manifest: S, checksum: str) -> S:
    return cast("S", msgspec.structs.replace(cast("msgspec.Struct", manifest), checksum=checksum))


def _encode(manifest: Summed) -> bytes:
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"


def _checked(raw: bytes, where: Path | str) -> str:
    stated, actual = _checksums(raw)
    if stated != actual:
        raise CorruptGeneration(f"{where} has another checksum than it says: {REMEDY}")
    return stated


def _checksums(raw: bytes) -> tuple[str, str]:
    """The checksum that a manifest's bytes state, the last of that name, and the one they have; empty if none."""
    found = list(_CHECKSUM.finditer(raw))
    if not found:
        return "", ""
    start, end = found[-1].span(1)
    return raw[start:end].decode(), xxhash.xxh3_128_hexdigest(raw[:start] + UNSUMMED.encode() + raw[end:])
