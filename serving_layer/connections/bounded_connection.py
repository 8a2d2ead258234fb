"""One connection: aiohttp's protocol within bounds of time and bytes, and refusing in this service's own words.

====================================================================  =================================================
a client that                                                         gets
====================================================================  =================================================
sends nothing, or not the whole head of a request, for                408; the connection ends
``header_timeout_s``
sends a body slower than ``min_bytes_per_s`` for ``stall_s``          408; the connection ends
takes an answer slower than that                                      no more of it; the connection ends
sends more requests while an answer of its own waits to be taken      no further answer before
leaves the connection idle for ``keep_alive_s``                       the connection ends
sends what is no HTTP, or too long                                    400, 414 or 431; the connection ends
====================================================================  =================================================

Time is looked at once a second for all connections: a request costs no timer of its own.
"""

import asyncio
import socket
from typing import Any, Final

import structlog
from aiohttp import HttpVersion10, HttpVersion11, web
from aiohttp.streams import EMPTY_PAYLOAD

from serving_layer.connections.minimum_rate import MinimumRate
from serving_layer.connections.open_connections import OpenConnections, Place
from serving_layer.connections.refusals import (
    answer_as_http11,
    broken_off,
    closing,
    no_place,
    refusal_of,
    sent_raw,
    too_long_a_head,
    too_slow_to_ask,
    too_slow_to_send,
)
from serving_layer.http_semantics.problems import Problem

__all__ = ["BoundedConnection"]

log = structlog.get_logger("serving")

_LINGER_S: Final = 5.0
"""So long a client that was refused early may go on sending its body, since many see no answer before."""
_REFUSED_S: Final = 1.0
_KERNEL_BYTES: Final = 262_144
"""Of answers, that the kernel keeps for a client: enough for 20 Mbit/s at 100 ms; left alone, it takes megabytes."""
_DRAINED: Final = 49_152
"""Between asyncio's high and low water: sent, when writing resumes."""


class BoundedConnection(web.RequestHandler):
    """A protocol of the loop's server, whose requests a handler answers.

    Args:
        connections: all of them, with their bounds.
        server: aiohttp's, whose handler answers.
        loop: the running one.
    """

    __slots__ = (
        "_answered",
        "_connections",
        "_drained",
        "_half_closed",
        "_head_bytes",
        "_last_payload",
        "_quiet_since",
        "_received",
        "_receiving",
        "_refused",
        "_requests_seen",
        "_sending",
        "_unsent_before",
    )

    def __init__(self, connections: OpenConnections, server: web.Server, loop: asyncio.AbstractEventLoop) -> None:
        settings = connections.settings
        super().__init__(
            server,
            loop=loop,
            keepalive_timeout=settings.keep_alive_s,
            access_log=None,  # type: ignore[arg-type] # its own type leaves out what it tests for
            max_line_size=settings.max_url_bytes,
            max_field_size=settings.max_header_bytes,
            max_headers=settings.max_headers,
            lingering_time=_LINGER_S,
            auto_decompress=False,  # bodies are inflated by those who read them, within bounds
        )
        self._connections = connections
        self._refused = False
        self._half_closed = False
        self._requests_seen = 0
        self._answered = 0
        self._head_bytes = 0
        self._received = 0
        self._last_payload: Any = EMPTY_PAYLOAD
        self._drained = 0
        self._unsent_before = 0
        self._quiet_since = loop.time()
        self._receiving = MinimumRate(settings.min_bytes_per_s, settings.stall_s)
        self._sending = MinimumRate(settings.min_bytes_per_s, settings.stall_s)

    @property
    def unsent(self) -> int:
        """How many bytes of answers wait for the client to take them."""
        return 0 if self.transport is None else self.transport.get_write_buffer_size()

    @property
    def idle_since(self) -> float | None:
        """When it was last busy, in the loop's time; None while it is."""
        return None if self._busy or self._head_bytes or self.unsent else self._quiet_since

    @property
    def _busy(self) -> bool:
        return self._request_count != self._answered

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, or refuse where there is no place."""
        place = self._connections.admit(self)
        if place is Place.TAKEN:
            taken = transport.get_extra_info("socket")
            if taken is not None:
                taken.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _KERNEL_BYTES)
            super().connection_made(transport)
            return
        self.transport = transport  # type: ignore[assignment]
        if place is Place.NONE:
            self.force_close()
        else:
            self._end_with(no_place(self._connections.settings.max))

    def connection_lost(self, exc: BaseException | None) -> None:
        """Be forgotten."""
        self._connections.forget(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        if not self._refused:
            self._received += len(data)
            self._parse(data)
            self._bound_head()

    def _parse(self, data: bytes) -> int:
        """Parse what came; returns how many requests were in it."""
        in_body = not self._last_payload.is_eof()
        super().data_received(data)
        came = self._request_count - self._requests_seen
        if came:
            self._requests_seen = self._request_count
            self._head_bytes = 0
            self._last_payload = self._messages[-1][1]
        elif not in_body and data:
            self._head_bytes += len(data)
        return came

    def _bound_head(self) -> None:
        """See that no head grows without end."""
        settings = self._connections.settings
        if self._head_bytes > settings.max_url_bytes + settings.max_header_bytes:
            self._connections.ended("head_too_large")
            self._end_with(too_long_a_head())

    def eof_received(self) -> bool | None:  # type: ignore[override] # aiohttp's never keeps the connection
        """Answer what was asked before the client ended its side; what broke off is refused."""
        if not self._last_payload.is_eof():
            self._last_payload.set_exception(broken_off())
        elif self._head_bytes and not self._busy and not self._refused:
            self._end_with(broken_off())
        self._half_closed = True
        return self._busy and not self._refused

    def pause_writing(self) -> None:
        """Remember that the client takes less than there is."""
        super().pause_writing()
        self._connections.clogged(self)

    def resume_writing(self) -> None:
        """Remember that it has taken most of it."""
        super().resume_writing()
        self._drained += _DRAINED
        self._connections.flows(self)

    def look(self, now: float) -> None:
        """End it where the client is too slow; called now and then."""
        if self.transport is None or self._refused:
            return
        if self._takes_too_slowly(now):
            self._connections.ended("slow_to_take")
            self.abort()
        elif self._busy:
            self._quiet_since = now
            if self._sends_too_slowly(now):
                self._connections.ended("slow_to_send")
                # Whoever reads the body gets this in the place of more; and then aiohttp ends the connection.
                self._last_payload.set_exception(too_slow_to_send())
        elif not self._head_bytes and self._request_count:
            self._receiving.rest()  # idle: aiohttp ends it after keep_alive_s
        elif now - self._quiet_since >= self._connections.settings.header_timeout_s:
            self._connections.ended("slow_to_ask")
            self._end_with(too_slow_to_ask())

    def abort(self) -> None:
        """End it at once, with whatever waits to be sent."""
        self._connections.forget(self)
        if self.transport is not None:
            self.transport.abort()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - the parser's words are not for clients
    ) -> web.StreamResponse:
        """Return the answer to what no handler answered: no HTTP, or a failure outside them."""
        problem = refusal_of(exc, max_url_bytes=self.max_line_size)
        request_id = self._connections.new_request_id()
        if problem is not exc and problem.status >= 500:
            log.error("request_failed", request_id=request_id, status=status, exc_info=exc)
        else:
            log.debug("request_malformed", request_id=request_id, status=problem.status, reason=repr(exc)[:200])
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun: it can only break off")
        if request.version not in {HttpVersion10, HttpVersion11}:
            answer_as_http11(request)
        self._connections.refused(request_id, problem.status)
        return closing(problem, request_id)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer; those that aiohttp itself makes before any handler in this service's words."""
        if isinstance(resp, web.HTTPException):
            problem = Problem.of(resp) or refusal_of(resp, max_url_bytes=self.max_line_size)
            request_id = self._connections.new_request_id()
            self._connections.refused(request_id, problem.status)
            resp = closing(problem, request_id)
        sent = await super().finish_response(request, resp, start_time)
        self._answered += 1
        self._quiet_since = self._loop.time()
        if self._half_closed and not self._busy:
            self.close()
        return sent

    def log_exception(self, *args: object, **kw: Any) -> None:
        """Log what went wrong outside any handler, but not that a client was too slow."""
        error = kw.get("exc_info")
        if not isinstance(error, Problem):
            log.error("connection_failed", reason=str(args[0]), exc_info=error)

    def _takes_too_slowly(self, now: float) -> bool:
        unsent = self.unsent
        self._drained += max(0, self._unsent_before - unsent)
        self._unsent_before = unsent
        if not unsent:
            self._sending.rest()
            return False
        return self._sending.too_slow(now, self._drained)

    def _sends_too_slowly(self, now: float) -> bool:
        # While reading is paused, it is this side that is slow.
        if self._last_payload.is_eof() or self._reading_paused:
            self._receiving.rest()
            return False
        return self._receiving.too_slow(now, self._received)

    def _end_with(self, problem: Problem) -> None:
        """Say why, and end the connection a moment later: at once, and what the client still sends would undo it."""
        self._refused = True
        transport = self.transport
        if self._busy:  # an answer is being written: nothing can be said
            self.abort()
        elif transport is not None and not transport.is_closing():
            request_id = self._connections.new_request_id()
            self._connections.refused(request_id, problem.status)
            transport.write(sent_raw(problem, request_id))
            transport.write_eof()
            self._loop.call_later(_REFUSED_S, transport.abort)
        self.close()
