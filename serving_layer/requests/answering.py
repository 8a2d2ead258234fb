"""From a request to the arguments of its handler, and from what that returns to the response."""

import asyncio
import socket
import struct
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from functools import partial
from http import HTTPStatus
from typing import Any, Final, TypeAlias

import structlog
from aiohttp import HttpVersion11, hdrs, web

from serving_layer.api.answers import NoContent
from serving_layer.api.handler_arguments import Argument, read_path, read_query
from serving_layer.api.operation import Operation
from serving_layer.api.parameter import Place
from serving_layer.api.path_segments import segments
from serving_layer.api.rendering import Texts
from serving_layer.event_loop.offload import offload
from serving_layer.http_semantics.accept_encoding import choose
from serving_layer.http_semantics.compression import compressed_pieces
from serving_layer.http_semantics.content_negotiation import Form, form
from serving_layer.requests import app_keys
from serving_layer.requests.response_headers import accepted_codings, add_common_headers

__all__ = ["AiohttpHandler", "answering"]

log = structlog.get_logger("serving")

_COST_OF_A_ROW: Final = 1_000
"""Of writing it, in the unit of `offload`."""

_RESET: Final = struct.pack("ii", 1, 0)
"""What closes a socket by a reset: linger, for no time."""

AiohttpHandler: TypeAlias = Callable[[web.Request], Coroutine[Any, Any, web.StreamResponse]]


def answering(declared: Operation, *, prefix: int, write: Texts) -> AiohttpHandler:
    """Return what aiohttp calls for an endpoint.

    Args:
        declared: the endpoint.
        prefix: how many segments the context path has.
        write: how numbers are written in CSV.
    """
    negotiates, handle = declared.answer is not None, declared.handle
    passed_over = prefix + declared.fixed_segments
    in_path = declared.in_path
    in_query = [found for found in declared.arguments if found.place is Place.QUERY]
    defaults = {found.name: found.default for found in in_query}

    async def answer(request: web.Request) -> web.StreamResponse:
        raw_path = request.raw_path
        values = dict(defaults)
        if in_path:
            values.update(read_path(in_path, segments(raw_path, passed_over)))
        if "?" in raw_path:
            values.update(_of_query(in_query, request))
        # Before the work: an answer that the client cannot take is not computed.
        written = form(request.headers, request.app[app_keys.API].default_format) if negotiates else None
        found = await handle(request, **values)
        if isinstance(found, web.StreamResponse):
            return found
        if isinstance(found, NoContent):
            return web.Response(status=HTTPStatus.NO_CONTENT, headers=found.headers)
        assert written is not None, "what is rendered was negotiated"
        if hasattr(found, "json_pieces"):
            return await _stream(request, written, found.json_pieces() if written.is_json else found.csv_pieces(write))
        rendered = found.json if written.is_json else partial(found.csv, write)
        body = await offload(request.app[app_keys.POOL], _COST_OF_A_ROW * len(found), rendered)
        return web.Response(body=body, headers=_headers(written))

    return answer


def _of_query(arguments: list[Argument], request: web.Request) -> dict[str, Any]:
    query = request.query
    return read_query(arguments, {name: query.getall(name) for name in query})


def _headers(written: Form) -> dict[str, str]:
    return {hdrs.CONTENT_TYPE: written.media_type, hdrs.VARY: "Accept, Accept-Encoding"}


async def _stream(request: web.Request, written: Form, pieces: AsyncGenerator[bytes]) -> web.StreamResponse:
    """Write an answer as it is made; the first piece is made before the answer begins, so that it may be a refusal."""
    coding = choose(accepted_codings(request)) or "identity"
    async with aclosing(compressed_pieces(pieces, coding, request.app[app_keys.CLOCK].monotonic)) as pieces:
        first = await anext(pieces, b"")
        response = web.StreamResponse(headers=_headers(written))
        if coding != "identity":
            response.headers[hdrs.CONTENT_ENCODING] = coding
        add_common_headers(request, response)
        await response.prepare(request)
        if request.method == hdrs.METH_HEAD:
            return response
        try:
            await response.write(first)
            async for piece in pieces:
                await response.write(piece)
        except Exception as error:
            reason: app_keys.BrokenOff = "client" if isinstance(error, ConnectionError) else "error"
            if reason == "error":
                log.exception("answer_broken_off", request_id=request[app_keys.REQUEST_ID])
            _break_off(request, reason)
        except asyncio.CancelledError:
            _break_off(request, "client" if request.transport is None else "error")
            raise
    return response


def _break_off(request: web.Request, reason: app_keys.BrokenOff) -> None:
    """End the connection so that the client sees that there was more: nothing that was sent can be taken back."""
    request[app_keys.BROKEN_OFF] = reason
    request.app[app_keys.METRICS].answers_broken_off.labels(reason).inc()
    transport = request.transport
    if transport is None:
        return
    if request.version < HttpVersion11:
        # Without chunks, of which the last one is missing, an ordinary end is the answer's: it has to be a reset.
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.abort()
