"""What all endpoints share: sending, reading, and the client's own writes."""

import re
import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Final, Self, TypeVar

import msgspec

from oryx_py.client.connection import Call, Connection
from oryx_py.client.own_writes import OwnWrites
from oryx_py.client.refusals import Refusal, Unreadable, written_of
from oryx_py.client.retries import Retries
from oryx_py.client.values import After, Written
from oryx_py.errors import UserError

__all__ = ["Caller", "Query", "ranking"]

T = TypeVar("T")

Query = list[tuple[str, str]]

_KEY: Final = re.compile(r"[!-~]{1,255}")


class Caller:
    """A connection to one service, and what was written through it; for one event loop.

    Args:
        url: scheme, host, port and, where the service has one, context path.
        retries: how often and how long a call is repeated; by default 5 times within 30 s.
        timeout_s: the longest silence of the service, of connecting too.
        connections: at most so many at the same time; further calls wait for one.
        read_your_writes: let every read include what this client wrote for its users before, as if it were given as
            ``after``.
        headers: sent with each call, as for a gateway that asks for credentials.

    Raises:
        UserError: the URL is none.
    """

    def __init__(
        self,
        url: str,
        *,
        retries: Retries = Retries(),  # noqa: B008 - it is frozen
        timeout_s: float = 15.0,
        connections: int = 16,
        read_your_writes: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._connection = Connection(
            url, retries=retries, timeout_s=timeout_s, connections=connections, headers=headers or {}
        )
        self._own_writes = OwnWrites() if read_your_writes else None

    @property
    def url(self) -> str:
        """The service's address, without a slash at its end."""
        return self._connection.url

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._connection.close()

    async def _read(
        self, of: type[T], segments: Sequence[str], query: Query, after: After, users: Sequence[str] | None = None
    ) -> T:
        """Read an answer as JSON of a type; ``users``: whose answer it is, None for nobody's."""
        answer = await self._connection.fetch(Call("GET", segments, [*query, *self._after(after, users)]))
        try:
            return msgspec.json.decode(answer.body, type=of)
        except (ValueError, RecursionError) as error:
            raise Unreadable(answer.status, str(error)) from None

    def _parts(self, call: Call, after: After, users: Sequence[str] | None = None) -> AsyncGenerator[bytes]:
        """Stream an answer."""
        query = [*call.query, *self._after(after, users)]
        return self._connection.stream(Call(call.method, call.segments, query, call.headers, call.body))

    async def _write(
        self,
        method: str,
        segments: Sequence[str],
        *,
        key: str | None,
        user: str | None,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Written:
        """Write, under a key that makes repeating it safe; ``user``: whose it is, None for nobody's or many's."""
        if key is not None and not _KEY.fullmatch(key):
            raise UserError("an idempotency key is 1 to 255 visible ASCII characters")
        headers = {**(headers or {}), "Idempotency-Key": key or str(uuid.uuid4())}
        try:
            answer = await self._connection.fetch(Call(method, segments, (), headers, body, reads=False))
        except Refusal as refusal:  # a bulk that broke off midway
            self._remember(refusal.written, user)
            raise
        written = written_of(answer.headers)
        self._remember(written, user)
        return written

    def _remember(self, written: Written, user: str | None) -> None:
        if self._own_writes is not None:
            self._own_writes.add(written, user)

    def _after(self, after: After, users: Sequence[str] | None) -> Query:
        text = str(after or "")
        if self._own_writes is not None:
            own = str(self._own_writes.before(users))
            text = ",".join(filter(None, (text, own)))
        return [("after", text)] if text else []


def ranking(
    how_many: int,
    offset: int,
    *,
    rescorer_params: Sequence[str] = (),
    recall: str | float | None = None,
    consider_known_items: bool = False,
) -> Query:
    """Return the arguments of a ranked list; what is left out is as the service has it."""
    query = [("howMany", str(how_many))]
    if offset:
        query.append(("offset", str(offset)))
    if consider_known_items:
        query.append(("considerKnownItems", "true"))
    if isinstance(rescorer_params, str):
        rescorer_params = [rescorer_params]
    query += [("rescorerParams", text) for text in rescorer_params]
    if recall is not None:
        query.append(("recall", str(recall)))
    return query
