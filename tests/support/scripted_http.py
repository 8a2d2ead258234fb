"""An HTTP server in the test's own loop that misbehaves as a script says, byte by byte."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus

import orjson


@dataclass
class Asked:
    """One request; names of headers in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Scripted:
    """Where it listens, what it was asked, and over how many connections."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0


Step = bytes | float | Callable[[Asked], Awaitable[bytes]] | None
"""Part of an answer: bytes to send, seconds to wait, a function that makes bytes; None closes the connection."""


def reply(status: int = 200, body: object = None, **headers: str) -> bytes:
    """A whole answer; ``body`` as JSON, ``Retry_After="1"`` as a header."""
    data = b"" if body is None else body if isinstance(body, bytes) else orjson.dumps(body)
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"Content-Length: {len(data)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + data


def problem(status: int, detail: str, **members: object) -> bytes:
    """A refusal as the service writes it."""
    return reply(status, {"title": "No", "status": status, "detail": detail, **members})


@asynccontextmanager
async def scripted(*answers: list[Step] | Step, forever: list[Step] | Step = b"") -> AsyncIterator[Scripted]:
    """Answer the first request with the first answer, and so on; ``forever`` answers all others."""
    there = Scripted()
    script: Iterator[list[Step] | Step] = iter(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there.connections += 1
        try:
            while (asked := await _read(reader)) is not None:
                there.asked.append(asked)
                steps = next(script, forever)
                for step in steps if isinstance(steps, list) else [steps]:
                    if step is None:
                        return
                    if isinstance(step, float):
                        await asyncio.sleep(step)
                        continue
                    writer.write(await step(asked) if callable(step) else step)
                    await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    there.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield there
    finally:
        server.close()


async def _read(reader: asyncio.StreamReader) -> Asked | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *rest = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
    return Asked(method, target, headers, await reader.readexactly(int(headers.get("content-length", 0))))
