"""Bodies of ``application/json``: one array of objects, or lines, as clients of Oryx 2 send them. Pure."""

import re
from collections.abc import Callable, Iterator
from typing import Final

from serving_layer.ingestion.json_arrays import ArrayReader
from serving_layer.ingestion.lines import csv_reader, ndjson_reader
from serving_layer.ingestion.reader import MAX_LINE_BYTES, Reader, Slice

__all__ = ["JsonReader"]

_START: Final = re.compile(rb"[ \t\r\n]*+(\[?+)[ \t\r\n]*+")
_FIELD: Final = frozenset(b'"-0123456789')
"""First bytes of text and numbers: an array of these is a line's fields."""


class JsonReader:
    """Reads what the first bytes, other than space, say that it is.

    ``[`` and then text or a number begins lines, each an array of fields; ``[`` and anything else one array of objects;
    ``{`` an object a line; anything else CSV lines. What has nothing in its first 64 KiB is no array.

    Args:
        now_ms: the time of interactions without one.
    """

    def __init__(self, now_ms: int) -> None:
        self.unit = ArrayReader.unit
        self._now_ms = now_ms
        self._held = b""
        self._reader: Reader | None = None

    def feed(self, data: bytes, *, last: bool) -> Iterator[Slice]:
        """See `Reader`."""
        if self._reader is None:
            data = self._held + data
            make = _kind(data, last=last)
            if make is None:
                self._held = data
                return
            self._held = b""
            self._reader = make(self._now_ms)
            self.unit = self._reader.unit
        yield from self._reader.feed(data, last=last)


def _kind(data: bytes, *, last: bool) -> Callable[[int], Reader] | None:
    """Return what reads a body that begins so; None where more must come first."""
    begin = _START.match(data, 0, MAX_LINE_BYTES)
    assert begin is not None
    if begin.end() == min(len(data), MAX_LINE_BYTES):
        return ArrayReader if last or len(data) >= MAX_LINE_BYTES else None
    first = data[begin.end()]
    if begin[1]:
        return csv_reader if first in _FIELD else ArrayReader
    return ndjson_reader if first == ord("{") else csv_reader
