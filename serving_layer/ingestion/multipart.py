"""The parts of a multipart body (RFC 2046), as they arrive, in bounded memory. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesHeaderParser
from email.policy import compat32
from enum import Enum
from http import HTTPStatus
from typing import Final, TypeAlias

from serving_layer.http_semantics.problems import Problem

__all__ = ["END", "MAX_FILES", "Event", "Multipart", "PartBegins", "boundary_of"]

MAX_FILES: Final = 1000
"""Parts of a body, and files in an archive: each costs some work, however empty it is."""
_MAX_HEADERS_BYTES: Final = 8192
_MAX_PADDING_BYTES: Final = 256
"""White space that may follow a boundary."""
_BOUNDARY: Final = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
_LINE: Final = b"\r\n"


@dataclass(frozen=True, slots=True)
class PartBegins:
    """A part's headers, where HTTP's rules for clients are as lenient as those of mail."""

    media_type: str
    charset: str | None
    filename: str
    encodings: tuple[str, ...]
    """``Content-Encoding`` and ``Content-Transfer-Encoding``, in lower case, without those that change nothing."""

    @classmethod
    def of(cls, headers: bytes) -> "PartBegins":
        """Read them."""
        message: Message = BytesHeaderParser(policy=compat32).parsebytes(headers)
        given = (str(message.get(name, "")).strip().lower() for name in _ENCODINGS)
        return cls(
            media_type=message.get_content_type() if "content-type" in message else "",
            charset=message.get_content_charset(),
            filename=message.get_filename() or "",
            encodings=tuple(encoding for encoding in given if encoding not in _CHANGES_NOTHING),
        )


_ENCODINGS: Final = ("content-encoding", "content-transfer-encoding")
_CHANGES_NOTHING: Final = {"", "identity", "7bit", "8bit", "binary"}


class _End(Enum):
    END = 0


END: Final = _End.END
"""The end of a part."""

Event: TypeAlias = PartBegins | bytes | _End
"""A part's beginning, some of its content, its end."""


class _State(Enum):
    PREAMBLE = "before the first boundary"
    BOUNDARY = "behind a boundary"
    HEADERS = "in a part's headers"
    CONTENT = "in a part"
    EPILOGUE = "behind the last boundary"


def boundary_of(content_type: str) -> bytes:
    """Return the boundary that a ``Content-Type`` names.

    Raises:
        Problem: 400, it names none.
    """
    message = Message()
    message["content-type"] = content_type
    boundary = message.get_boundary("")
    if not _BOUNDARY.fullmatch(boundary):
        raise Problem(HTTPStatus.BAD_REQUEST, "Content-Type must name the boundary of the parts, as RFC 2046 has it")
    return boundary.encode()


class Multipart:
    """Splits a body.

    Args:
        boundary: between the parts.
    """

    def __init__(self, boundary: bytes) -> None:
        self._delimiter = _LINE + b"--" + boundary
        self._data = _LINE  # the first boundary may be the body's first line
        self._state = self._inside = _State.PREAMBLE
        self._parts = 0

    def feed(self, data: bytes) -> Iterator[Event]:
        """Read some more.

        Raises:
            Problem: 400, it is not framed as RFC 2046 has it.
        """
        self._data += data
        while True:
            before = self._state, len(self._data)
            yield from self._step()
            if before == (self._state, len(self._data)):
                return

    def finish(self) -> None:
        """Check that it is whole.

        Raises:
            Problem: 400, it is not.
        """
        if self._state is not _State.EPILOGUE:
            raise _bad(f"it ends {self._state.value}")

    def _step(self) -> Iterator[Event]:
        match self._state:
            case _State.PREAMBLE | _State.CONTENT:
                yield from self._up_to_boundary()
            case _State.BOUNDARY:
                yield from self._behind_boundary()
            case _State.HEADERS:
                yield from self._headers()
            case _State.EPILOGUE:
                self._data = b""

    def _up_to_boundary(self) -> Iterator[Event]:
        at = self._data.find(self._delimiter)
        # A boundary may have begun at the end of what is there.
        end = at if at >= 0 else max(0, len(self._data) - len(self._delimiter) + 1)
        if end and self._state is _State.CONTENT:
            yield self._data[:end]
        self._data = self._data[end:]
        if at >= 0:
            self._inside, self._state = self._state, _State.BOUNDARY

    def _behind_boundary(self) -> Iterator[Event]:
        follows = self._data[len(self._delimiter) :]
        padding = follows.lstrip(b" \t")
        if follows[:2] == b"--":
            self._state, self._data = _State.EPILOGUE, b""
        elif padding[:2] == _LINE:
            self._state, self._data = _State.HEADERS, padding
        elif len(follows) - len(padding) <= _MAX_PADDING_BYTES and (_LINE.startswith(padding) or follows == b"-"):
            return  # more must come
        else:  # only looks like one
            if self._inside is _State.CONTENT:
                yield self._data[: len(self._delimiter)]
            self._state, self._data = self._inside, follows
            return
        if self._inside is _State.CONTENT:
            yield END

    def _headers(self) -> Iterator[Event]:
        at = self._data.find(_LINE + _LINE, 0, _MAX_HEADERS_BYTES)
        if at >= 0:
            self._parts += 1
            if self._parts > MAX_FILES:
                raise _bad(f"it has more than {MAX_FILES} parts")
            yield PartBegins.of(self._data[len(_LINE) : at] + _LINE)
            self._state, self._data = _State.CONTENT, self._data[at + 2 * len(_LINE) :]
        elif len(self._data) >= _MAX_HEADERS_BYTES:
            raise _bad(f"a part's headers have more than {_MAX_HEADERS_BYTES} bytes")


def _bad(why: str) -> Problem:
    return Problem(HTTPStatus.BAD_REQUEST, f"the multipart body cannot be read: {why}")
