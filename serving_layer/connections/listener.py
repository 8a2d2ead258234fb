"""Accepting connections, each within its bounds, and requests, each within its size."""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final, TypeAlias, cast

import structlog
from aiohttp import HttpVersion10, HttpVersion11, hdrs, web

from oryx_py.errors import ConfigError
from serving_layer.connections.connection import Connection
from serving_layer.connections.fast_reads import FAST_READS
from serving_layer.connections.fast_writes import FAST_WRITES
from serving_layer.connections.open_connections import OpenConnections
from serving_layer.connections.refusals import answer_as_http11
from serving_layer.http_semantics.problems import Problem, quoted
from serving_layer.requests.recorder import RECORDER
from serving_layer.requests.routing import Dispatch, Refuse, dispatching, refusing

__all__ = ["listen"]

log = structlog.get_logger("serving")

_Handler: TypeAlias = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_VERSIONS: Final = frozenset({HttpVersion10, HttpVersion11})
_BACKLOG: Final = 1024
"""Connections that may wait to be accepted: a burst of them is not refused by the kernel."""


async def listen(runner: web.AppRunner, connections: OpenConnections, host: str, port: int) -> int:
    """Begin to accept connections; returns the port.

    Args:
        runner: of the application; its cleanup ends the connections.
        connections: the connections and their bounds.
        host: name or address.
        port: 0 for any that is free.

    Raises:
        ConfigError: this cannot be listened on.
    """
    if host not in _LOOPBACK:
        log.warning("open_to_the_network", host=host, reason="nothing asks who a client is: put a proxy before it")
    await runner.setup()
    server = runner.server
    assert server is not None, "it was set up"
    dispatch = dispatching(runner.app, cast("Dispatch", server.request_handler))
    connections.refused = runner.app[RECORDER].refused
    connections.fast_reads = runner.app[FAST_READS]
    connections.fast_writes = runner.app[FAST_WRITES]
    server.request_handler = _bounded(dispatch, refusing(runner.app), connections.settings.max_path_segments)
    loop = asyncio.get_running_loop()
    site = _Site(runner, host, port, lambda: Connection(connections, server, loop))
    try:
        await site.start()
    except (OSError, OverflowError) as error:
        raise ConfigError(f"serving.host = {host!r}, serving.port = {port}: {error}") from error
    return int(runner.addresses[0][1])


class _Site(web.BaseSite):
    """Accepts connections for protocols of our own."""

    __slots__ = ("_host", "_new_connection", "_port")

    def __init__(
        self, runner: web.AppRunner, host: str, port: int, new_connection: Callable[[], asyncio.Protocol]
    ) -> None:
        super().__init__(runner, backlog=_BACKLOG)
        self._host = host
        self._port = port
        self._new_connection = new_connection

    @property
    def name(self) -> str:
        return f"http://{self._host}:{self._port}"

    async def start(self) -> None:
        await super().start()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._new_connection, self._host, self._port, backlog=_BACKLOG)


def _bounded(handle: Dispatch, refuse: Refuse, max_segments: int) -> _Handler:
    """Refuse what is not to be looked at any further, and answer no faster than answers are taken."""

    async def bounded(request: web.Request) -> web.StreamResponse:
        if request.protocol.writing_paused:
            await request.writer.drain()
        problem = _fault(request, max_segments)
        return await handle(request) if problem is None else await refuse(request, problem)

    return cast("_Handler", bounded)


def _fault(request: web.Request, max_segments: int) -> Problem | None:
    """Return what speaks against a request, whatever it is for: its version, its segments, what it expects."""
    if request.version not in _VERSIONS:
        answer_as_http11(request)
        return Problem(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "this service speaks HTTP/1.1 and HTTP/1.0")
    if request.raw_path.count("/") > max_segments:
        return Problem(HTTPStatus.REQUEST_URI_TOO_LONG, f"the path has more than {max_segments} segments")
    expected = request.headers.get(hdrs.EXPECT)
    if expected and expected.lower() != "100-continue" and request.version == HttpVersion11:
        return Problem(HTTPStatus.EXPECTATION_FAILED, f"Expect may be 100-continue, not {quoted(expected)}")
    return None
