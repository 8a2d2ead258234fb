"""One connection, which answers plain requests itself: no task is woken, and no request built, for what is quick."""

import asyncio
from typing import Any

from aiohttp import hdrs, web
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD

from serving_layer.connections.bounded_connection import BoundedConnection
from serving_layer.connections.open_connections import OpenConnections
from serving_layer.connections.plain_head import PlainHead, RepeatedHead

__all__ = ["Connection"]


class Connection(BoundedConnection):
    """A protocol of the loop's server: what `fast_reads` and `fast_writes` take, and a handler else.

    Args:
        connections: all of them, with their bounds, and with what is answered here.
        server: aiohttp's, whose handler answers everything else.
        loop: the running one.
    """

    __slots__ = ("_repeated", "_writing")

    def __init__(self, connections: OpenConnections, server: web.Server, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(connections, server, loop)
        self._repeated = RepeatedHead()
        self._writing = False

    def data_received(self, data: bytes) -> None:
        """Parse what came, unless its head is known, and answer it where it is alone and quick."""
        if self._refused:
            return
        self._received += len(data)
        path, waiter = None, self._waiter
        if waiter is None or waiter.done():
            waiter = None
        else:
            path = None if self._writing else self._repeated.path_of(data)
            if path is not None and self._answer_at_once(path, self._repeated.head):
                self._request_count += 1
                self._requests_seen = self._request_count
                return
            self._waiter = None  # the task is woken below, and only where it is needed
        came = self._parse(data)
        if waiter is not None:
            self._waiter = waiter
        self._bound_head()
        has_body = self._last_payload is not EMPTY_PAYLOAD or self._upgraded
        is_head = self._repeated.parsed(data, heads=came, has_body=has_body)
        if came and waiter is not None and not self._writing:
            is_long = came > 1 or path is not None  # what has been tried is not tried again
            if is_long or not self._take_parsed(data if is_head else b""):
                waiter.set_result(None)

    def _take_parsed(self, whole: bytes) -> bool:
        """Answer the one request that there is, now or soon, if it is one of those, and leave all as the task would.

        ``whole`` is all of it, if it is known to be.
        """
        message, payload = self._messages[0]
        if not isinstance(message, RawRequestMessage) or self._upgraded:
            return False
        if message.method == hdrs.METH_POST:
            return self._write_at_once(message, payload)
        if payload is not EMPTY_PAYLOAD:
            return False
        head = self._connections.fast_reads.head_of(message)
        if head is None or not self._answer_at_once(message.path, head):
            return False
        self._consume()
        self._repeated.learn(whole, message.path, head)
        return True

    def _consume(self) -> None:
        assert self._parser is not None
        self._messages.popleft()
        self._parser.message_consumed()

    def _write_at_once(self, message: RawRequestMessage, payload: Any) -> bool:
        """Begin with a write; until it is answered, whatever else comes waits."""
        if self._close or self._force_close or self.unsent or not payload.is_eof() or payload.exception() is not None:
            return False
        writes = self._connections.fast_writes
        if not writes.takes(message, payload.total_bytes):
            return False
        assert self._manager is not None
        self._manager.requests_count += 1
        self._consume()
        # As while a handler is at work: a shutdown waits for it, and the connection is not idle.
        self._writing = self._request_in_progress = True
        self._keepalive = False
        writes.write(message, payload.read_nowait(-1), self._written)
        return True

    def _written(self, answer: bytes) -> None:
        self._writing = self._request_in_progress = False
        self._answered += 1
        if self._handler_waiter is not None and not self._handler_waiter.done():
            self._handler_waiter.set_result(None)
        if self.transport is None:
            return
        self.transport.write(answer)
        self._rest()
        if self._close or (self._half_closed and not self._busy):
            self.force_close()
        elif self._messages and self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _answer_at_once(self, path: str, head: PlainHead | None) -> bool:
        if head is None or self._close or self._force_close or self.unsent:
            return False
        answer = self._connections.fast_reads.answer(path, head)
        if answer is None:
            return False
        assert self._manager is not None
        assert self.transport is not None
        self._manager.requests_count += 1
        self._answered += 1
        self.transport.write(answer)
        self._rest()
        return True

    def _rest(self) -> None:
        """Let the connection be idle from now on, for so long."""
        now = self._quiet_since = self._loop.time()
        self._keepalive = True
        self._next_keepalive_close_time = now + self._keepalive_timeout
        if self._keepalive_handle is None:
            self._keepalive_handle = self._loop.call_at(self._next_keepalive_close_time, self._process_keepalive)
