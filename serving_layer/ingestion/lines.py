"""Bodies of lines: CSV, and a JSON object a line. Pure."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

import msgspec

from oryx_py.errors import BadInteraction
from oryx_py.events import Interaction, parse_object, parse_value
from serving_layer.ingestion.reader import MAX_LINE_BYTES, BadLine, Slice, value_of

__all__ = ["LineReader", "csv_reader", "ndjson_reader", "parse_json"]

_AT_ONCE_BYTES: Final = 65_536
"""Matched at once: half a millisecond."""
_AT_ONCE_LINES: Final = 200
"""Parsed one by one at once, or runs taken: a millisecond."""

# Runs of plain lines, which `parse_value` would read as they stand: IDs of at most 256 characters, which always fit,
# without quotes and controls; decimal numbers in the range of float32. Possessive throughout: no body can make it
# backtrack. A regular expression sees such a line in a fifteenth of the time.
_ID = r'[^\x00-\x1f\x7f-\x9f,"]{1,256}+'
_USER = rf"(?!\[){_ID}"
_STRENGTH = r"(?:[-+]?+[0-9]{1,15}+(?:\.[0-9]{1,15}+)?+)?+"


class _Run(NamedTuple):
    """A kind of plain lines, with blank ones between them.

    ``before_time`` stands before the time that one lacks, and is empty where it has one.
    """

    lines: re.Pattern[str]
    before_time: bytes


_RUNS: Final = (
    _Run(re.compile(rf"(?:{_USER},{_ID},{_STRENGTH},[0-9]{{1,18}}+(?:,{_ID})?+\n++)++"), b""),
    _Run(re.compile(rf"(?:{_USER},{_ID},{_STRENGTH}\n++)++"), b","),
    _Run(re.compile(rf"(?:{_USER},{_ID}\n++)++"), b",1,"),
)
_BLANK_LINES: Final = r"(?:[ \t\r\x0b\x0c]{0,256}+\n)++"
_BLANK: Final = _Run(re.compile(_BLANK_LINES), b"")
_BLANK_BYTES: Final = re.compile(_BLANK_LINES.encode())
_SPACE: Final = ord(" ")


def csv_reader(now_ms: int) -> "LineReader":
    """Return a reader of CSV lines, or JSON arrays of the same fields; those without a time are of ``now_ms``."""
    return LineReader(parse_value, now_ms, plain=True)


def ndjson_reader(now_ms: int) -> "LineReader":
    """Return a reader of a JSON object, or array, a line; those without a time are of ``now_ms``."""
    return LineReader(parse_json, now_ms, plain=False)


class LineReader:
    """Reads lines, ended by a line feed with or without a carriage return.

    Args:
        parse: reads a line.
        now_ms: the time of those without one.
        plain: whether `_RUNS` may be taken as they stand.
    """

    unit = "line"

    def __init__(self, parse: Callable[[bytes], Interaction], now_ms: int, *, plain: bool) -> None:
        self._parse, self._now_ms, self._plain = parse, now_ms, plain
        self._number = 0
        self._rest = b""

    def feed(self, data: bytes, *, last: bool) -> Iterator[Slice]:
        """See `Reader`."""
        data = self._rest + data
        if last and data and not data.endswith(b"\n"):
            data += b"\n"
        at, end = 0, data.rfind(b"\n") + 1
        self._rest = data[end:]
        while at < end:
            stop = data.find(b"\n", at + _AT_ONCE_BYTES, end) + 1 or end
            for slice_ in self._block(data[at:stop]):
                yield slice_
                if slice_.broken:
                    return
            at = stop
        if len(self._rest) > MAX_LINE_BYTES + len(b"\r"):
            yield self._broken([])

    def _block(self, block: bytes) -> Iterator[Slice]:
        """Read whole lines."""
        values: list[bytes] = []
        bad: list[BadLine] = []
        for taken, (run, line) in enumerate(_runs(block) if self._plain else _lines(block), 1):
            if run:
                values.append(self._as_they_stand(run, line))
            elif len(line) > MAX_LINE_BYTES:
                yield self._broken(bad)
                return
            else:
                self._number += 1
                values.append(self._read(line, bad))
            if taken % _AT_ONCE_LINES == 0:
                yield Slice(b"".join(values), tuple(bad))
                values.clear()
                bad.clear()
        yield Slice(b"".join(values), tuple(bad))

    def _as_they_stand(self, run: _Run, lines: bytes) -> bytes:
        count = lines.count(b"\n")
        self._number += count
        if run is _BLANK:
            return b"\n" * count
        if not run.before_time:
            return lines
        added = b"%s%d" % (run.before_time, self._now_ms)
        timed = lines.replace(b"\n", added + b"\n")
        # Blank lines got it, too; only they begin with a comma now.
        return timed.replace(b"\n" + added, b"\n") if b"\n\n" in lines else timed

    def _read(self, line: bytes, bad: list[BadLine]) -> bytes:
        line = line.strip(b"\r")
        if line.strip():
            try:
                return value_of(self._parse(line), self._now_ms) + b"\n"
            except BadInteraction as error:
                bad.append(BadLine(self._number, error.reason))
        return b"\n"

    def _broken(self, bad: list[BadLine]) -> Slice:
        reason = f"longer than {MAX_LINE_BYTES} bytes, so that nothing from it on was read"
        return Slice(b"", (*bad, BadLine(self._number + 1, reason)), broken=True)


def _runs(block: bytes) -> Iterator[tuple[_Run | None, bytes]]:
    """Split lines into runs of plain ones, each with its kind, and others, one by one."""
    try:
        text = block.decode().replace("\r\n", "\n")
    except UnicodeDecodeError:
        yield from _lines(block)
        return
    at = 0
    while at < len(text):
        for run in (*_RUNS, _BLANK):
            if found := run.lines.match(text, at):
                end = found.end()
                yield run, text[at:end].encode()
                break
        else:
            end = text.index("\n", at) + 1
            yield None, text[at : end - 1].encode()
        at = end


def _lines(block: bytes) -> Iterator[tuple[_Run | None, bytes]]:
    """Split lines into runs of blank ones, and others, one by one."""
    at = 0
    while at < len(block):
        if block[at] <= _SPACE and (found := _BLANK_BYTES.match(block, at)):
            end = found.end()
            yield _BLANK, found[0]
        else:
            end = block.index(b"\n", at) + 1
            yield None, block[at : end - 1].removesuffix(b"\r")
        at = end


def parse_json(line: bytes) -> Interaction:
    """Read one JSON object, or array of the fields.

    Raises:
        BadInteraction: it is neither.
    """
    try:
        value = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadInteraction(f"not JSON: {error}") from None
    if isinstance(value, list):
        return parse_value(line.strip())
    if not isinstance(value, Mapping):
        raise BadInteraction("not a JSON object")
    return parse_object(value)
