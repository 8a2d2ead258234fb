"""Calls over HTTP: bounded, repeated where that is safe, with errors of our own."""

import asyncio
import os
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlencode, urlsplit

import aiohttp
from yarl import URL

from oryx_py.client.refusals import Failed, NoAnswer, Unreachable, refusal_of
from oryx_py.client.retries import Retries, repeated
from oryx_py.errors import OryxError, UserError

__all__ = ["Answer", "Call", "Connection"]

_MAX_ANSWER_BYTES: Final = 256 * 1024 * 1024
"""Of an answer that is read whole; the longest list of the longest IDs is below."""
_MAX_HEADER_BYTES: Final = 256 * 1024
"""``X-Oryx-Offset`` has up to 20 bytes for each partition of the input."""


@dataclass(frozen=True, slots=True)
class Call:
    """What is asked.

    Attributes:
        method: HTTP's.
        segments: of the path, percent-encoded.
        query: not yet encoded.
        headers: beside those of the connection.
        body: empty: none.
        reads: that it changes nothing, and may be repeated; what writes may be with an ``Idempotency-Key``.
    """

    method: str
    segments: Sequence[str]
    query: Sequence[tuple[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    reads: bool = True

    @property
    def repeatable(self) -> bool:
        """Whether doing it twice is the same as once."""
        return self.reads or "Idempotency-Key" in self.headers


@dataclass(frozen=True, slots=True)
class Answer:
    """A success; names of headers in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Connection:
    """A bounded number of connections to one service, for one event loop.

    Args:
        url: scheme, host, port and, where the service has one, context path.
        retries: how stubborn it is.
        timeout_s: the longest silence of the service.
        connections: at most so many at the same time; further calls wait for one.
        headers: sent with each call.

    Raises:
        UserError: from the constructor, for a URL that is none.
    """

    def __init__(
        self, url: str, *, retries: Retries, timeout_s: float, connections: int, headers: Mapping[str, str]
    ) -> None:
        self.url = _checked(url)
        self._retries = retries
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=timeout_s, sock_read=timeout_s)
        self._connections = connections
        self._headers = {"User-Agent": "oryx-py", "Accept": "application/json", **headers}
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    async def close(self) -> None:
        """Close the connections; calls on their way end with `NoAnswer`, later ones with `UserError`."""
        self._closed = True
        if self._session is not None:
            await self._session.close()

    async def fetch(self, call: Call, *, once: bool = False) -> Answer:
        """Return the answer, which is a success; ``once``: of the first attempt.

        Raises:
            Refusal: it is none; of the kind that its status means.
            Unreachable: nothing listens there.
            NoAnswer: none came.
        """
        return await repeated(lambda: self._fetch(call), self._retries, repeatable=call.repeatable and not once)

    async def stream(self, call: Call) -> AsyncGenerator[bytes]:
        """Yield a success's content as it comes; it is not repeated once the first of it is here.

        Raises:
            OryxError: as `fetch`; NoAnswer also where the content breaks off.
        """
        response, part = await repeated(lambda: self._begin(call), self._retries, repeatable=call.repeatable)
        try:
            while part:
                yield part
                part = await self._part(response)
        finally:
            response.close()

    async def _fetch(self, call: Call) -> Answer:
        response = await self._send(call)
        try:
            return Answer(response.status, response.headers, await self._whole(response))
        finally:
            response.close()  # which leaves the connection open where all of the answer was read

    async def _begin(self, call: Call) -> tuple[aiohttp.ClientResponse, bytes]:
        response = await self._send(call)
        try:
            return response, await self._part(response)
        except BaseException:
            response.close()
            raise

    async def _send(self, call: Call) -> aiohttp.ClientResponse:
        """Send a call; return the answer's beginning, which is that of a success."""
        path = "".join("/" + segment for segment in call.segments)
        query = "?" + urlencode(call.query) if call.query else ""
        try:
            response = await self._open().request(
                call.method,
                URL(self.url + path + query, encoded=True),
                data=call.body or None,
                headers=call.headers,
                allow_redirects=False,
            )
        except (aiohttp.ClientError, OSError) as error:
            raise self._lost(error, call.method) from error
        if 200 <= response.status < 300:
            return response
        try:
            body = await self._whole(response)
        except OryxError:
            body = b""  # the status says enough
        finally:
            response.close()
        raise refusal_of(response.status, response.headers, body)

    async def _whole(self, response: aiohttp.ClientResponse) -> bytes:
        parts = []
        size = 0
        while part := await self._part(response):
            parts.append(part)
            size += len(part)
            if size > _MAX_ANSWER_BYTES:
                raise Failed(response.status, f"an answer has more than {_MAX_ANSWER_BYTES} bytes")
        return b"".join(parts)

    async def _part(self, response: aiohttp.ClientResponse) -> bytes:
        """Return what is there next, nothing at the end."""
        try:
            return await response.content.readany()
        except (aiohttp.ClientError, OSError) as error:
            raise self._lost(error, response.method) from error

    def _open(self) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        if self._closed:
            raise UserError("this client is closed")
        if self._session is None:
            self._loop = loop
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._connections),
                timeout=self._timeout,
                headers=self._headers,
                cookie_jar=aiohttp.DummyCookieJar(),
                max_line_size=_MAX_HEADER_BYTES,
                max_field_size=_MAX_HEADER_BYTES,
            )
        if self._loop is not loop:
            raise UserError("an AsyncClient belongs to the event loop of its first call: make one for each loop")
        return self._session

    def _lost(self, error: Exception, method: str) -> OryxError:
        if isinstance(error, aiohttp.ClientConnectorError):
            number = error.os_error.errno or 0
            reason = os.strerror(number) if number > 0 else error.os_error.strerror or str(error)
            return Unreachable(
                f"nothing answers at {self.url} ({reason}): start `oryx up` or `oryx serve` there, "
                "or give the address (--url) of the service"
            )
        reason = "timed out" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
        return NoAnswer(f"{self.url} did not answer a {method} ({' '.join(reason.split())})")


def _checked(url: str) -> str:
    """Return the address without a slash at its end."""
    try:
        parts = urlsplit(url)
        fine = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
        if not fine or parts.query or parts.fragment or parts.username or parts.password:
            raise UserError(f"{url!r} is no address of a service: give one like http://127.0.0.1:8080")
        return str(URL(url)).rstrip("/")
    except ValueError as error:  # a port that is no number
        raise UserError(f"{url!r} is no address of a service: {error}") from None
