"""Asks an HTTP server at a constant rate whatever its answers do, far cheaper than it answers."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Answered", "Connections", "request_of"]


@dataclass(frozen=True, slots=True)
class Answered:
    """One answer: its status, its body, and by `time.perf_counter` when it was wanted and when it was there."""

    status: int
    body: bytes
    asked_at: float
    at: float


OnAnswer = Callable[[Answered], None]


def request_of(method: str, path: str, body: bytes = b"") -> bytes:
    """Return a request's bytes."""
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body if body else f"{head}\r\n".encode()


class Connections:
    """Kept connections to one port; a request that finds all of them busy waits for the first that is free.

    Args:
        port: on the loopback.
        most: connections.
    """

    def __init__(self, port: int, most: int) -> None:
        self._port, self._most = port, most
        self._free: deque[_Connection] = deque()
        self._waiting: deque[tuple[bytes, float, OnAnswer]] = deque()
        self.open = 0
        self.failures: list[str] = []
        """Connections that ended in the middle of an answer."""

    async def connect(self) -> None:
        """Open all of them."""
        loop = asyncio.get_running_loop()
        for _ in range(self._most):
            await loop.create_connection(lambda: _Connection(self), "127.0.0.1", self._port)

    def ask(self, request: bytes, wanted_at: float, on_answer: OnAnswer) -> None:
        """Send a request as soon as a connection is free; ``wanted_at`` is when it should have been sent."""
        self.open += 1
        if self._free:
            # The one that has rested longest: a service ends those on which nothing comes.
            self._free.popleft().ask(request, wanted_at, on_answer)
        else:
            self._waiting.append((request, wanted_at, on_answer))

    def close(self) -> None:
        """Close them."""
        for connection in self._free:
            connection.close()

    def _freed(self, connection: "_Connection") -> None:
        self.open -= 1
        if self._waiting:
            connection.ask(*self._waiting.popleft())
        else:
            self._free.append(connection)

    def _connected(self, connection: "_Connection") -> None:
        self._free.append(connection)

    def _lost(self, why: str) -> None:
        self.open -= 1
        self.failures.append(why)


class _Connection(asyncio.Protocol):
    """One request at a time."""

    def __init__(self, owner: Connections) -> None:
        self._owner = owner
        self._buffer = b""
        self._end = -1
        """Of the answer in the buffer, -1 where that is not known yet."""
        self._on_answer: OnAnswer | None = None
        self._asked_at = 0.0
        self._clock = time.perf_counter

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._owner._connected(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._on_answer is not None:
            self._owner._lost(f"the connection ended: {exc}")

    def ask(self, request: bytes, wanted_at: float, on_answer: OnAnswer) -> None:
        """Send a request."""
        self._asked_at, self._on_answer = wanted_at, on_answer
        self._transport.write(request)

    def close(self) -> None:
        """End it."""
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._buffer = buffer = self._buffer + data if self._buffer else data
        if self._end < 0:
            head = buffer.find(b"\r\n\r\n")
            if head < 0:
                return
            at = buffer.find(b"Content-Length: ", 0, head)
            self._end = head + 4 + (int(buffer[at + 16 : buffer.find(b"\r", at)]) if at >= 0 else 0)
            self._head = head + 4
        if len(buffer) < self._end or self._on_answer is None:
            return
        found = Answered(int(buffer[9:12]), buffer[self._head : self._end], self._asked_at, self._clock())
        on_answer, self._on_answer = self._on_answer, None
        self._buffer, self._end = b"", -1
        on_answer(found)
        self._owner._freed(self)
