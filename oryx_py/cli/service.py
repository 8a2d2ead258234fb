"""The running service over HTTP, one connection kept open; for one thread."""

import http.client
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from oryx_py.errors import NotReady, OryxError, Transient, UserError

__all__ = ["Answer", "NoAnswer", "Problem", "Scored", "Service"]

T = TypeVar("T")

_IDLE_S: Final = 5.0
"""A connection that rested for longer is opened anew: the service may be about to close it, and then nobody could say
whether it took a request."""


class NoAnswer(Transient):
    """The connection broke before an answer came: whether the request was carried out is not known."""


class Scored(msgspec.Struct, frozen=True):
    """An item and its score."""

    id: str
    value: float


class Problem(msgspec.Struct, frozen=True):
    """RFC 9457; ``accepted`` is how many lines of a body are stored, in their order, where it broke off midway."""

    title: str = ""
    detail: str = ""
    accepted: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; names of headers in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def problem(self) -> Problem:
        """Read the body as a problem; where it is none, the detail is the status alone."""
        try:
            found = msgspec.json.decode(self.body, type=Problem)
        except msgspec.MsgspecError:
            found = Problem()
        return found if found.detail or found.title else Problem(detail=f"HTTP status {self.status}")

    def reason(self) -> str:
        """What the problem says, in one line."""
        problem = self.problem()
        return " ".join((problem.detail or problem.title).split())

    def retry_after_s(self, default: float) -> float:
        """Return the header ``Retry-After`` in seconds."""
        text = self.headers.get("retry-after", "")
        return float(text) if text.isdecimal() else default

    def offset(self) -> str:
        """Return the place of what was written, to be given as ``after``; empty where the service states none."""
        return self.headers.get("x-oryx-offset", "")

    def read(self, type: type[T]) -> T:  # noqa: A002 - as msgspec calls it
        """Read a successful answer's JSON.

        Raises:
            OryxError: the service refused (by the status: NotReady, UserError, OryxError), or this is not its JSON.
        """
        self.check()
        try:
            return msgspec.json.decode(self.body, type=type)
        except msgspec.MsgspecError as error:
            raise OryxError(f"the service's answer cannot be read ({error}): is it an oryx service?") from None

    def check(self) -> None:
        """Raise what an unsuccessful status means.

        Raises:
            NotReady: 503, with the service's own reason.
            UserError: 4xx, with it.
            OryxError: anything else.
        """
        if 200 <= self.status < 300:
            return
        if self.status == http.HTTPStatus.SERVICE_UNAVAILABLE:
            raise NotReady(f"the service is not ready: {self.reason()}")
        if 400 <= self.status < 500:
            raise UserError(self.reason())
        raise OryxError(f"the service answered {self.status}: {self.reason()}")


class Service:
    """A client of the REST interface.

    Args:
        url: scheme, host, port and, where the service has one, context path.
        timeout_s: the longest silence of the service.

    Raises:
        UserError: from the constructor, for a URL that is none; from every call, where nothing listens there.
    """

    def __init__(self, url: str, timeout_s: float = 30.0) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
            raise UserError(f"{url!r} is no address of a service: give one like http://127.0.0.1:8080")
        self.url = url.rstrip("/")
        self._path = parts.path.rstrip("/")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        try:
            self._connection = kind(parts.hostname, parts.port, timeout=timeout_s)
        except ValueError as error:  # a port that is no number
            raise UserError(f"{url!r} is no address of a service: {error}") from None
        self._used_at = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        self._connection.close()

    def send(
        self,
        method: str,
        segments: Sequence[str],
        *,
        query: Mapping[str, object] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request and wait for its answer; each segment of the path is encoded whole, slashes too.

        Raises:
            UserError: nothing listens there.
            NoAnswer: the connection broke while the answer was awaited.
        """
        path = self._path + "".join("/" + quote(segment, safe="") for segment in segments)
        if query:
            path += "?" + urlencode(query)
        if time.monotonic() - self._used_at > _IDLE_S:
            self._connection.close()
        if self._connection.sock is None:
            self._connect()
        try:
            self._connection.request(method, path, body, {"Accept": "application/json", **(headers or {})})
            with self._connection.getresponse() as response:
                answer = Answer(
                    response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
                )
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise NoAnswer(f"{self.url} did not answer a {method} ({str(error) or type(error).__name__})") from error
        except BaseException:  # half a request or half an answer is in the connection
            self._connection.close()
            raise
        self._used_at = time.monotonic()
        return answer

    def get(self, segments: Sequence[str], query: Mapping[str, object] | None = None) -> Answer:
        """Send a GET, once more where the connection broke: reading twice does no harm."""
        try:
            return self.send("GET", segments, query=query)
        except NoAnswer:
            return self.send("GET", segments, query=query)

    def recommend(self, user: str, how_many: int = 10, after: str = "") -> Answer:
        """Ask for a user's best items; ``after``: wait until this place of the input is in. Read it as list[Scored]."""
        return self.get(["recommend", user], {"howMany": how_many, **({"after": after} if after else {})})

    def prefer(self, user: str, item: str, strength: float = 1.0) -> str:
        """Store an interaction; return its place in the input, for ``after``."""
        body = repr(strength).removesuffix(".0").encode()
        answer = self.send("POST", ["pref", user, item], body=body, headers={"Content-Type": "text/plain"})
        answer.check()
        return answer.offset()

    def ingest(self, lines: Iterable[bytes]) -> Answer:
        """Send CSV lines, which have no line breaks; 204 when all are stored."""
        return self.send("POST", ["ingest"], body=b"\n".join(lines) + b"\n", headers={"Content-Type": "text/csv"})

    def readiness(self) -> Answer | None:
        """Ask whether it is ready (200) or what it waits for (503); None where nothing listens yet."""
        try:
            return self.get(["ready"])
        except (UserError, NoAnswer):
            return None

    def _connect(self) -> None:
        try:
            self._connection.connect()
        except OSError as error:
            self._connection.close()
            raise UserError(
                f"nothing answers at {self.url} ({error.strerror or error}): start `oryx up` or `oryx serve`, "
                "or say with --url where the service is"
            ) from None
