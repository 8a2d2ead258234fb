"""Bodies of several parts, each a file: plain, gzip, or a zip archive of files.

What a part is, its first bytes say, since clients often say nothing better than ``application/octet-stream``: no text
that can be read begins as gzip or zip do. How its content is read, its type or its name's ending says (`forms`).
"""

from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Final

from serving_layer.http_semantics.decompression import Inflater
from serving_layer.http_semantics.problems import Problem, quoted
from serving_layer.ingestion.body_check import BodyCheck
from serving_layer.ingestion.formats import BulkForm, file_form
from serving_layer.ingestion.multipart import END, Event, Multipart, PartBegins
from serving_layer.ingestion.spool import SpoolPlace
from serving_layer.ingestion.zip_archives import read_zip

__all__ = ["read_parts"]

_GZIP: Final = b"\x1f\x8b"
_ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06")
_MAGIC_BYTES: Final = 4


async def read_parts(pieces: AsyncIterator[bytes], boundary: bytes, check: BodyCheck, place: SpoolPlace) -> None:
    """Read a multipart body.

    Args:
        pieces: of the body.
        boundary: between its parts.
        check: reads what is in them.
        place: for archives, which can be read only when they are there as a whole.

    Raises:
        Problem: 400, 413, 415, 429: it is refused.
        StoreUnavailable: the disk is full, or does not work.
    """
    events = _events(pieces, Multipart(boundary))
    number = 0
    async for event in events:
        if isinstance(event, PartBegins):
            number += 1
            await _read_part(event, _content(events), f"part {number}", check, place)


async def _read_part(
    part: PartBegins, content: AsyncIterator[bytes], where: str, check: BodyCheck, place: SpoolPlace
) -> None:
    if part.media_type.startswith("multipart/"):
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"{where} has parts itself: send its files as parts")
    if set(part.encodings) - {"gzip", "x-gzip"}:
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"{where} may be encoded by gzip alone, not {quoted(', '.join(part.encodings))}",
        )
    form = file_form(part.media_type, part.charset, part.filename)
    start, content = await _peeked(content)
    if start.startswith(_ZIP):
        await read_zip(content, where, check, place, _read_file)
    elif start.startswith(_GZIP):
        await _read_file(_inflated(content, where), form, f"{where}, ", check)
    else:
        await check.read(content, form, f"{where}, ")


async def _read_file(content: AsyncIterator[bytes], form: BulkForm, where: str, check: BodyCheck) -> None:
    """Read what was in an archive."""
    start, content = await _peeked(content)
    if start.startswith((_GZIP, *_ZIP)):
        raise Problem(HTTPStatus.BAD_REQUEST, f"nothing was stored. {where}is an archive in an archive: unpack it")
    await check.read(content, form, where)


async def _events(pieces: AsyncIterator[bytes], multipart: Multipart) -> AsyncIterator[Event]:
    async for piece in pieces:
        for event in multipart.feed(piece):
            yield event
    multipart.finish()


async def _content(events: AsyncIterator[Event]) -> AsyncIterator[bytes]:
    """Return what comes up to the end of the part that has begun."""
    async for event in events:
        if event is END:
            return
        assert isinstance(event, bytes)
        yield event


async def _inflated(pieces: AsyncIterator[bytes], where: str) -> AsyncIterator[bytes]:
    inflater = Inflater("gzip", where)
    async for piece in pieces:
        for inflated in inflater.feed(piece):
            yield inflated
    inflater.finish()


async def _peeked(pieces: AsyncIterator[bytes]) -> tuple[bytes, AsyncIterator[bytes]]:
    """Return the first bytes, and everything."""
    start = b""
    while len(start) < _MAGIC_BYTES:
        piece = await anext(pieces, None)
        if piece is None:
            break
        start += piece

    async def everything() -> AsyncIterator[bytes]:
        yield start
        async for piece in pieces:
            yield piece

    return start, everything()
