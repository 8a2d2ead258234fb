"""Streamed answers, cut into values as their bytes come. Pure."""

import re
from typing import Final, Generic, TypeVar

import msgspec

from oryx_py.errors import BadRecord
from oryx_py.events.csv_line import split_line

__all__ = ["Array", "Names"]

T = TypeVar("T")

_TOKEN: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"|["\[\]{}]', re.DOTALL)
"""A string, a bracket; or a quote whose string is not all here."""


_MAX_ELEMENT_BYTES: Final = 256 * 1024 * 1024


class Names:
    """One ID a line, as CSV: no ID has a line break."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, part: bytes) -> list[str]:
        """Return the IDs that are complete with this part.

        Raises:
            ValueError: it is none of our CSV.
        """
        whole, end, rest = (self._rest + part).rpartition(b"\n")
        self._rest = rest
        return [_name(line) for line in whole.decode().split("\n")] if end else []

    def end(self) -> None:
        """Check that nothing is missing.

        Raises:
            ValueError: a line is cut off.
        """
        if self._rest:
            raise ValueError("it ends in the middle of a line")


class Array(Generic[T]):
    """A JSON array of objects, read as each is complete."""

    def __init__(self, element: type[T]) -> None:
        self._decoder = msgspec.json.Decoder(list[element])  # type: ignore[valid-type]  # a value at run time
        self._rest = bytearray()
        self._seen = 0
        self._depth = 0
        self._closed = False

    def feed(self, part: bytes) -> list[T]:
        """Return the elements that are complete with this part.

        Raises:
            ValueError: it is no array of these.
        """
        self._rest += part
        end = self._end_of_elements()
        if not end:
            if len(self._rest) > _MAX_ELEMENT_BYTES:
                raise ValueError(f"one of it has more than {_MAX_ELEMENT_BYTES} bytes")
            return []
        elements = bytes(self._rest[:end]).lstrip(b" \t\r\n[,")
        del self._rest[:end]
        self._seen -= end
        return self._decoder.decode(b"[%b]" % elements)

    def _end_of_elements(self) -> int:
        """Look at what has not been seen, and return where the last complete element ends; 0: there is none."""
        end = 0
        for token in _TOKEN.finditer(self._rest, self._seen):
            kind = token[0]
            if kind == b'"':  # the string goes on: look at it again when there is more
                self._seen = token.start()
                return end
            if kind in b"[{":
                self._depth += 1
            elif kind in b"]}":
                self._depth -= 1
                end = token.end() if self._depth == 1 else end
                self._closed |= self._depth == 0
        self._seen = len(self._rest)
        return end

    def end(self) -> None:
        """Check that nothing is missing.

        Raises:
            ValueError: the array is not closed, or something is left over.
        """
        if not self._closed or self._rest.strip(b" \t\r\n[,]"):
            raise ValueError("it ends in the middle of an array")


def _name(line: str) -> str:
    if not line.startswith('"'):
        return line
    try:
        return split_line(line)[0]
    except BadRecord as error:
        raise ValueError(error.reason) from None
