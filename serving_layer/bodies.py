"""Request bodies: bounded as sent, bounded as inflated, and bounded all together."""

import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from aiohttp import hdrs, web
from aiohttp.client_exceptions import ClientPayloadError
from aiohttp.http_exceptions import HttpProcessingError

from serving_layer.problems import Problem, quoted

__all__ = ["ByteBudget", "body_of"]

_PIECE_BYTES = 262_144
"""Inflated at a time: half a millisecond of the loop."""
_WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
_RAW_DEFLATE = -15


class ByteBudget:
    """Bytes that all bodies together may take; for one loop."""

    def __init__(self, limit: int) -> None:
        self._left = limit

    def take(self, size: int) -> None:
        """Take some.

        Raises:
            Problem: 429, there is not so much left.
        """
        if size > self._left:
            raise Problem.busy("too many large bodies are being read: send this again later")
        self._left -= size

    def give(self, size: int) -> None:
        """Give back what was taken."""
        self._left += size


@asynccontextmanager
async def body_of(
    request: web.Request, *, max_bytes: int, max_inflated_bytes: int, budget: ByteBudget
) -> AsyncIterator[bytes]:
    """Read a body, inflated by its ``Content-Encoding``, and keep its share of the budget while it is used.

    Raises:
        Problem: 413 too large, 415 an encoding that is not known, 400 it does not inflate or breaks off, 429.
    """
    if (request.content_length or 0) > max_bytes:
        raise _too_large(max_bytes)
    taken = 0
    pieces: list[bytes] = []
    try:
        async for piece in _pieces(request, max_bytes):
            if taken + len(piece) > max_inflated_bytes:
                raise _too_large(max_inflated_bytes)
            budget.take(len(piece))
            taken += len(piece)
            pieces.append(piece)
        body = b"".join(pieces)
        pieces.clear()
        yield body
    finally:
        budget.give(taken)


def _too_large(limit: int) -> Problem:
    return Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body has more than {limit} bytes: send it in several requests"
    )


async def _pieces(request: web.Request, max_bytes: int) -> AsyncIterator[bytes]:
    encoding = request.headers.get(hdrs.CONTENT_ENCODING, "identity").strip().lower()
    if encoding not in {"", "identity", *_WINDOW_BITS}:
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Content-Encoding must be gzip or deflate, not {quoted(encoding)}"
        )
    inflater = _Inflater(encoding) if encoding in _WINDOW_BITS else None
    read = 0
    async for chunk in _chunks(request):
        read += len(chunk)
        if read > max_bytes:
            raise _too_large(max_bytes)
        if inflater is None:
            yield chunk
        else:
            for piece in inflater.feed(chunk):
                yield piece
    if inflater is not None:
        inflater.finish()


async def _chunks(request: web.Request) -> AsyncIterator[bytes]:
    try:
        async for chunk in request.content.iter_any():
            yield chunk
    except (HttpProcessingError, ClientPayloadError, web.RequestPayloadError, ConnectionError) as error:
        raise Problem(HTTPStatus.BAD_REQUEST, "the body broke off, or is not framed as HTTP has it") from error


class _Inflater:
    """Undoes gzip, of one or several members, or deflate, with or without zlib's header."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._stream: zlib._Decompress | None = None
        self._began = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Inflate more of it, in pieces of a bounded size.

        Raises:
            Problem: 400.
        """
        while True:
            stream = self._stream or self._next(data)
            try:
                piece = stream.decompress(data, _PIECE_BYTES)
            except zlib.error as error:
                raise self._damaged(str(error)) from None
            if piece:
                yield piece
            if stream.eof:
                data, self._stream = stream.unused_data, None
            else:
                data = stream.unconsumed_tail
            # A full piece may have left more behind inside zlib, without any input left.
            if not data and (self._stream is None or len(piece) < _PIECE_BYTES):
                return

    def finish(self) -> None:
        """Check that it is whole.

        Raises:
            Problem: 400.
        """
        if self._stream is not None:
            raise self._damaged("it ends too early")

    def _next(self, data: bytes) -> "zlib._Decompress":
        if self._began and self._encoding == "deflate":
            raise self._damaged("something follows its end")
        self._began = True
        bits = _WINDOW_BITS[self._encoding]
        # zlib's header: method 8 in the low half of the first byte. Without, it is what some clients take deflate for.
        if self._encoding == "deflate" and data[0] & 0x0F != 8:
            bits = _RAW_DEFLATE
        self._stream = zlib.decompressobj(wbits=bits)
        return self._stream

    def _damaged(self, why: str) -> Problem:
        return Problem(HTTPStatus.BAD_REQUEST, f"the body is not whole {self._encoding}: {why}")
