"""Request bodies: bounded as sent, bounded as inflated, and bounded all together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from aiohttp import hdrs, web
from aiohttp.client_exceptions import ClientPayloadError
from aiohttp.http_exceptions import HttpProcessingError

from serving_layer.http_semantics.byte_budget import ByteBudget
from serving_layer.http_semantics.decompression import ENCODINGS, Inflater
from serving_layer.http_semantics.problems import Problem, quoted

__all__ = ["BodyPace", "body_of", "pieces_of", "too_large"]

_SMALL_BYTES = 65_536
_BYTES_A_SECOND = 16_384
"""What even a telephone's uplink manages; slower clients would keep places and disk for days."""


class BodyPace:
    """Lets a client take as long for its body as it needs, but neither rest nor drip; for one request.

    Within each ``window_s`` of waiting for it, at least 16 KiB must come for each second of these, or the body's end.
    What the service does with them in the meantime is not the client's time.
    """

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._left_s = window_s
        self._owed = self._owed_a_window = round(window_s * _BYTES_A_SECOND)

    async def chunk(self, request: web.Request) -> bytes:
        """Return what came next; nothing at the end.

        Raises:
            Problem: 408, too little came.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with asyncio.timeout(self._left_s):
                chunk = await request.content.readany()
        except TimeoutError:
            raise Problem(
                HTTPStatus.REQUEST_TIMEOUT,
                f"the body came too slowly, with less than {self._owed_a_window} bytes in {self._window_s:g} s; "
                "nothing was stored",
                headers={hdrs.CONNECTION: "close"},
            ) from None
        self._left_s -= loop.time() - began
        self._owed -= len(chunk)
        if self._owed <= 0:
            self._left_s, self._owed = self._window_s, self._owed_a_window
        return chunk


@asynccontextmanager
async def body_of(
    request: web.Request, *, max_bytes: int, max_inflated_bytes: int, budget: ByteBudget
) -> AsyncIterator[bytes]:
    """Read a body, inflated by its ``Content-Encoding``, and keep its share of the budget while it is used.

    A small one takes no share, so that large ones leave room for it; how many of them there are is bounded otherwise.

    Raises:
        Problem: 413 too large, 415 an encoding that is not known, 400 it does not inflate or breaks off, 429.
    """
    read = taken = 0
    pieces: list[bytes] = []
    try:
        async for piece in pieces_of(request, max_bytes):
            read += len(piece)
            if read > max_inflated_bytes:
                raise too_large(max_inflated_bytes)
            if read > _SMALL_BYTES:
                budget.take(read - taken)
                taken = read
            pieces.append(piece)
        body = b"".join(pieces)
        pieces.clear()
        yield body
    finally:
        budget.give(taken)


def too_large(limit: int) -> Problem:
    """Return the refusal of a body above a limit; 413."""
    return Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body has more than {limit} bytes: send it in several requests"
    )


async def pieces_of(request: web.Request, max_bytes: int, pace: BodyPace | None = None) -> AsyncIterator[bytes]:
    """Read a body, inflated by its ``Content-Encoding``, in pieces of a bounded size as they arrive.

    Only what is sent is bounded, by ``max_bytes``: what it inflates to is the caller's to count.

    Raises:
        Problem: 413 too large, 415 an encoding that is not known, 400 it does not inflate or breaks off, 408 by
            `BodyPace`.
    """
    if (request.content_length or 0) > max_bytes:
        raise too_large(max_bytes)
    encoding = request.headers.get(hdrs.CONTENT_ENCODING, "identity").strip().lower()
    if encoding not in {"", "identity", *ENCODINGS}:
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Content-Encoding must be gzip or deflate, not {quoted(encoding)}"
        )
    inflater = Inflater(encoding) if encoding in ENCODINGS else None
    read = 0
    async for chunk in _chunks(request, pace):
        read += len(chunk)
        if read > max_bytes:
            raise too_large(max_bytes)
        if inflater is None:
            yield chunk
        else:
            for piece in inflater.feed(chunk):
                yield piece
    if inflater is not None:
        inflater.finish()


async def _chunks(request: web.Request, pace: BodyPace | None) -> AsyncIterator[bytes]:
    try:
        while chunk := await (pace.chunk(request) if pace else request.content.readany()):
            yield chunk
    except (HttpProcessingError, ClientPayloadError, web.RequestPayloadError, ConnectionError) as error:
        raise Problem(HTTPStatus.BAD_REQUEST, "the body broke off, or is not framed as HTTP has it") from error
