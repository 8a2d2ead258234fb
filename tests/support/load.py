"""Asks an HTTP server over many kept connections, far cheaper than a server answers."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["Load", "ask_for"]


@dataclass
class Load:
    """What came of some seconds of asking."""

    seconds: float
    latencies: list[float] = field(default_factory=list)
    """Of each answer, in seconds."""
    failures: list[bytes] = field(default_factory=list)
    """The beginnings of answers that were no 200, and of connections that ended."""


class _Asker(asyncio.Protocol):
    """One connection, one request at a time: the bytes are ready-made, of an answer only its length is read."""

    def __init__(self, requests: Sequence[bytes], first: int, load: Load, until: float) -> None:
        self._requests = requests
        self._at = first
        self._load = load
        self._until = until
        self._buffer = b""
        self._lacking = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self._load.failures.append(f"the connection ended: {exc}".encode())
            self.done.set_result(None)

    def data_received(self, data: bytes) -> None:
        if self._lacking:
            self._lacking -= len(data)
        else:
            self._buffer = data = self._buffer + data if self._buffer else data
            end = data.find(b"\r\n\r\n")
            if end < 0:
                return
            self._buffer = b""
            if not data.startswith(b"HTTP/1.1 200"):
                self._load.failures.append(data[:500])
            at = data.find(b"Content-Length: ", 0, end) + 16
            self._lacking = int(data[at : data.find(b"\r", at)]) + end + 4 - len(data)
        if self._lacking == 0:
            now = time.perf_counter()
            self._load.latencies.append(now - self._began)
            if now < self._until:
                self._ask()
            else:
                self.done.set_result(None)
                self._transport.close()

    def _ask(self) -> None:
        self._at += 1
        self._began = time.perf_counter()
        self._transport.write(self._requests[self._at % len(self._requests)])


async def ask_for(seconds: float, port: int, paths: Sequence[str], connections: int) -> Load:
    """Ask for the paths in turn, on each of the connections as soon as it has its answer."""
    head = "\r\nHost: 127.0.0.1\r\nAccept: application/json\r\nUser-Agent: bench\r\n\r\n"
    requests = [f"GET {path} HTTP/1.1{head}".encode() for path in paths]
    began = time.perf_counter()
    load = Load(seconds)
    loop = asyncio.get_running_loop()
    askers = []
    for number in range(connections):
        first = number * len(paths) // connections
        asker = _Asker(requests, first, load, began + seconds)
        askers.append(asker)
        await loop.create_connection(lambda asker=asker: asker, "127.0.0.1", port)  # type: ignore[misc]
    await asyncio.gather(*[asker.done for asker in askers])
    load.seconds = time.perf_counter() - began
    return load
