"""What the head of a plain GET says of its answer, and heads that come again: known by their bytes, without a parser.

A client that keeps its connection sends the same headers with every request. So the bytes from ``HTTP/1.1`` on are
compared with those of the request before, which the parser has read; where they are the same, they say the same, and
only the path between ``GET`` and them is new.
"""

from typing import Final, NamedTuple

from aiohttp import HttpVersion11, hdrs
from aiohttp.http_parser import RawRequestMessage

from serving_layer.http_semantics.content_negotiation import Form, Kind, form_of
from serving_layer.requests.request_ids import sent_id

__all__ = ["PlainHead", "RepeatedHead", "plain_head"]

_METHOD: Final = b"GET "
_VERSION: Final = b" HTTP/1.1\r\n"
_END: Final = b"\r\n\r\n"
_MOST_BYTES: Final = 2_048
"""Of headers that are remembered, for each connection."""


class PlainHead(NamedTuple):
    """The head of a GET without a body, whose connection goes on, but for its path.

    ``form`` is how the answer is written, ``request_id`` the client's own name for the request, empty for none.
    """

    form: Form
    request_id: str


def plain_head(message: RawRequestMessage, default: Kind) -> PlainHead | None:
    """Return what a request's head says, None where it is not plain, or no answer is in a form that it takes."""
    headers = message.headers
    if (
        message.method != "GET"
        or message.version != HttpVersion11
        or message.should_close
        or message.upgrade
        or hdrs.EXPECT in headers
    ):
        return None
    form = form_of(headers, default)
    return None if form is None else PlainHead(form, sent_id(headers.get("X-Request-Id")))


class RepeatedHead:
    """The headers of a connection's latest plain request, and where its parser stands."""

    __slots__ = ("_between", "_headers", "head")

    def __init__(self) -> None:
        self.head: PlainHead | None = None
        """What the headers say."""
        self._headers = b""
        self._between = True

    def path_of(self, data: bytes) -> str | None:
        """Return what stands before the same headers again, None where ``data`` has others.

        It is one request's path only if it has no character but those that paths are made of (RFC 3986, ``pchar``,
        and slashes); that is left to whoever looks at it.
        """
        headers = self._headers
        if self._between and headers and data.endswith(headers) and data.startswith(_METHOD):
            return data[len(_METHOD) : -len(headers)].decode("latin-1")
        return None

    def parsed(self, data: bytes, *, heads: int, has_body: bool) -> bool:
        """Note what the parser was given, and say whether it was the whole head of one request without a body.

        Args:
            data: in one piece.
            heads: how many ended in it.
            has_body: whether a body comes after the last one, or a protocol other than HTTP.
        """
        began, self._between = self._between, heads == 1 and not has_body and data.endswith(_END)
        return began and self._between

    def learn(self, data: bytes, path: str, head: PlainHead) -> None:
        """Remember the headers of a whole head that the parser has read."""
        before = _METHOD + path.encode()
        headers = data[len(before) :]
        if data.startswith(before) and headers.startswith(_VERSION) and len(headers) <= _MOST_BYTES:
            self._headers, self.head = headers, head
