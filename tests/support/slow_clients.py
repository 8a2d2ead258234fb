"""Clients that take their time: a byte a second, as long as they are let."""

import asyncio
import socket
from collections.abc import Sequence

__all__ = ["SlowClients"]

_READER = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 10  # together more than the kernel keeps
_SENDER = b"POST /pref/u/i HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"


class SlowClients:
    """Connections that send, or read, ``byte_s`` seconds a byte; connected anew when ended. ``async with`` runs them.

    Args:
        port: of the loopback.
        senders: how many send; half of them a request's head, half its body.
        readers: how many read large answers.
        byte_s: seconds a byte.
    """

    def __init__(self, port: int, senders: int, readers: int, byte_s: float = 1.0) -> None:
        self._port = port
        self._kinds = ["sender"] * senders + ["reader"] * readers
        self._byte_s = byte_s
        self._tasks: Sequence[asyncio.Task[None]] = ()
        self.connected = 0
        self.cut_off = 0

    async def __aenter__(self) -> "SlowClients":
        self._tasks = [asyncio.create_task(self._run(number, kind)) for number, kind in enumerate(self._kinds)]
        while self.connected < len(self._kinds):  # noqa: ASYNC110 - counted by all of them
            await asyncio.sleep(0.01)
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, number: int, kind: str) -> None:
        while True:
            with socket.socket() as connection:
                connection.setblocking(False)
                if kind == "reader":
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                try:
                    await self._be_slow(connection, number, kind)
                except OSError:
                    self.cut_off += 1

    async def _be_slow(self, connection: socket.socket, number: int, kind: str) -> None:
        loop = asyncio.get_running_loop()
        await loop.sock_connect(connection, ("127.0.0.1", self._port))
        self.connected += 1
        if kind == "reader":
            await loop.sock_sendall(connection, _READER)
            while await loop.sock_recv(connection, 1):  # noqa: ASYNC110 - what it waits for is time
                await asyncio.sleep(self._byte_s)
        else:
            at = len(_SENDER) if number % 2 else 1
            await loop.sock_sendall(connection, _SENDER[:at])
            for byte in _SENDER[at:] + bytes(1000):
                await asyncio.sleep(self._byte_s)
                await loop.sock_sendall(connection, bytes([byte]))
        self.cut_off += 1
