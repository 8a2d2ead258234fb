"""Zip archives in a bulk body: untrusted, spooled as they are, and read file by file in threads."""

import struct
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from io import SEEK_SET
from typing import BinaryIO, Final, TypeVar
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipExtFile, ZipFile, ZipInfo

from serving_layer.http_semantics.problems import Problem, quoted
from serving_layer.ingestion.body_check import BodyCheck
from serving_layer.ingestion.formats import BulkForm, file_form
from serving_layer.ingestion.multipart import MAX_FILES
from serving_layer.ingestion.spool import Spool, SpoolPlace

__all__ = ["ReadFile", "read_zip"]

T = TypeVar("T")

ReadFile = Callable[[AsyncIterator[bytes], BulkForm, str, BodyCheck], Awaitable[None]]
"""Reads a file's content of a form, with its name for messages."""

_PIECE_BYTES: Final = 65_536
_MOST_BYTES_AT_ONCE: Final = 1 << 20
"""That zipfile may ask for: it reads a directory as a whole, of a size that the archive says."""
_ENCRYPTED: Final = 0x1
_NOBODYS_FILES: Final = "__MACOSX/"
"""What macOS adds to every archive beside the files that were meant."""
_DAMAGED: Final = (
    BadZipFile,
    EOFError,
    IndexError,
    KeyError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    UnicodeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""All that zipfile was seen to raise for an archive that is none."""


async def read_zip(
    content: AsyncIterator[bytes], where: str, check: BodyCheck, place: SpoolPlace, read_file: ReadFile
) -> None:
    """Read all files of an archive, in the order of its directory.

    Args:
        content: of the archive.
        where: it is, for messages.
        check: gets what the files have.
        place: where the archive waits until it is there as a whole.
        read_file: reads one of them.

    Raises:
        Problem: 400, it is damaged, encrypted, or has what cannot be read; 413, 415, 429.
        StoreUnavailable: the disk is full, or does not work.
    """
    with Spool(place) as spool:
        async for piece in content:
            await spool.write(piece)
        archive = await _tried(spool, lambda file: ZipFile(_Frugal(file)), where)
        infos = [info for info in archive.infolist() if not _is_passed_over(info.filename)]
        if len(infos) > MAX_FILES:
            raise _refused(where, f"it has more than {MAX_FILES} files")
        for info in infos:
            name = f"{where}, {quoted(info.filename)}, "
            _check_readable(info, name)
            form = file_form("", None, info.filename)
            await read_file(_inflated(spool, archive, info, name), form, name, check)


def _is_passed_over(name: str) -> bool:
    return name.endswith("/") or name.startswith(_NOBODYS_FILES)


def _check_readable(info: ZipInfo, name: str) -> None:
    if info.flag_bits & _ENCRYPTED:
        raise _refused(name, "it is encrypted")
    if info.compress_type not in {ZIP_STORED, ZIP_DEFLATED}:
        raise _refused(name, "it is compressed by another method than deflate")


async def _inflated(spool: Spool, archive: ZipFile, info: ZipInfo, name: str) -> AsyncIterator[bytes]:
    file: ZipExtFile = await _tried(spool, lambda _: archive.open(info), name)  # type: ignore[arg-type, return-value]
    while piece := await _tried(spool, lambda _: file.read(_PIECE_BYTES), name):
        yield piece


async def _tried(spool: Spool, work: Callable[[BinaryIO], T], name: str) -> T:
    try:
        return await spool.run(work)
    except _DAMAGED as error:
        raise _refused(name, f"it is damaged, or no zip archive: {error}") from None


def _refused(name: str, why: str) -> Problem:
    return Problem(HTTPStatus.BAD_REQUEST, f"nothing was stored. {name.removesuffix(', ')} cannot be read: {why}")


class _Frugal:
    """A file of which only so much may be read at once.

    Args:
        file: an open one.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.tell = file.tell
        self.seekable = file.seekable
        self.close = file.close

    def seek(self, offset: int, whence: int = SEEK_SET) -> int:
        if whence == SEEK_SET and offset < 0:
            raise BadZipFile("it points outside itself")
        return self._file.seek(offset, whence)

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(min(size, _MOST_BYTES_AT_ONCE + 1) if size >= 0 else _MOST_BYTES_AT_ONCE + 1)
        if len(data) > _MOST_BYTES_AT_ONCE:
            raise BadZipFile("its directory is too large")
        return data
