"""Bodies that are one JSON array of objects, read object by object. Pure."""

import re
from collections.abc import Iterator
from typing import Final, Literal

from oryx_py.errors import BadInteraction
from serving_layer.ingestion.lines import parse_json
from serving_layer.ingestion.reader import MAX_LINE_BYTES, BadLine, Slice, value_of

__all__ = ["ArrayReader"]

_AT_ONCE_OBJECTS: Final = 200
# A flat object: possessive throughout, so that no body can make it backtrack, and without recursion.
_OBJECT: Final = re.compile(rb'\{(?:[^{}\[\]"]++|"(?:[^"\\]++|\\.)*+")*+\}', re.DOTALL)
_SPACE: Final = re.compile(rb"[ \t\r\n]*+")

_MISSING: Final = {
    "array": "the body is not a JSON array of objects",
    "first": "not a flat JSON object",
    "object": "not a flat JSON object",
    "comma": "the JSON array is not closed: , or ] is missing",
    "nothing": "something follows the JSON array",
}


class _BrokenOff(Exception):
    """The frame of the array is not what it should be."""


class ArrayReader:
    """Reads flat objects; where the frame of the array is broken, nothing after that is read.

    Args:
        now_ms: the time of those without one.
    """

    unit = "object"

    def __init__(self, now_ms: int) -> None:
        self._now_ms = now_ms
        self._number = 1
        self._rest = b""
        self._next: Literal["array", "first", "object", "comma", "nothing"] = "array"

    def feed(self, data: bytes, *, last: bool) -> Iterator[Slice]:
        """See `Reader`."""
        data, at = self._rest + data, 0
        values: list[bytes] = []
        bad: list[BadLine] = []
        try:
            while (at := _after_space(data, at)) < len(data):
                taken = self._take(data, at, values, bad, last=last)
                if not taken:
                    break
                at += taken
                if len(values) == _AT_ONCE_OBJECTS:
                    yield Slice(b"".join(values), tuple(bad))
                    values.clear()
                    bad.clear()
            if last and self._next != "nothing":
                raise _BrokenOff(_MISSING[self._next])
        except _BrokenOff as error:
            yield Slice(b"", (*bad, BadLine(self._number, str(error))), broken=True)
            return
        self._rest = data[at:]
        if values:
            yield Slice(b"".join(values), tuple(bad))

    def _take(self, data: bytes, at: int, values: list[bytes], bad: list[BadLine], *, last: bool) -> int:
        """Take what comes next, which is no space; return its bytes, 0 where more must come first."""
        follows = data[at : at + 1]
        match self._next, follows:
            case "array", b"[":
                self._next = "first"
            case (("first" | "comma"), b"]"):
                self._next = "nothing"
            case "comma", b",":
                self._next = "object"
            case (("first" | "object"), b"{"):
                return self._object(data, at, values, bad, last=last)
            case _:
                raise _BrokenOff(_MISSING[self._next])
        return 1

    def _object(self, data: bytes, at: int, values: list[bytes], bad: list[BadLine], *, last: bool) -> int:
        found = _OBJECT.match(data, at, at + MAX_LINE_BYTES)
        if found is None:
            if last or len(data) - at >= MAX_LINE_BYTES:
                longer = "" if last else f", or longer than {MAX_LINE_BYTES} bytes"
                raise _BrokenOff(_MISSING["object"] + longer)
            return 0
        try:
            values.append(value_of(parse_json(found[0]), self._now_ms) + b"\n")
        except BadInteraction as error:
            bad.append(BadLine(self._number, error.reason))
            values.append(b"\n")
        self._number += 1
        self._next = "comma"
        return len(found[0])


def _after_space(data: bytes, at: int) -> int:
    found = _SPACE.match(data, at)
    return found.end() if found else at
