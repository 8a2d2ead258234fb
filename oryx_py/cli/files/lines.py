"""Interactions in files of lines: CSV, TSV, JSON lines."""

import csv
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO, Final

import msgspec

from oryx_py.cli.files.rows import ORDER, Row, Times, columns_of, is_header
from oryx_py.errors import BadInteraction, UserError
from oryx_py.events import Interaction, parse_object, parse_value
from oryx_py.events.csv_line import split_line

__all__ = ["csv_rows", "json_rows", "tsv_rows"]

MAX_LINE_BYTES: Final = 1 << 20
"""As long as a record of the input topic may be."""

_BOM: Final = b"\xef\xbb\xbf"


def csv_rows(file: BinaryIO, times: Times) -> Iterator[Row]:
    """Read RFC 4180 lines ``user,item,strength,timestamp,kind``, or columns in the order that a first line names."""
    return _table_rows(file, times, _wide_csv, parse_value)


def tsv_rows(file: BinaryIO, times: Times) -> Iterator[Row]:
    """Read the same separated by tabs; quotes mean nothing."""
    return _table_rows(file, times, lambda line: line.split("\t"), _parse_tsv)


def json_rows(file: BinaryIO, times: Times) -> Iterator[Row]:
    """Read a JSON object ``{"user":…, "item":…, "strength":…, "timestamp":…, "event":…}`` or array a line."""

    def parse(line: bytes) -> Interaction:
        if line.lstrip()[:1] != b"{":
            return parse_value(line.strip())
        try:
            found = msgspec.json.decode(line, type=dict[str, object])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BadInteraction(f"not JSON: {error}") from None
        return parse_object(found)

    for number, line in _lines(file):
        yield number, _tried(parse, line, times)


def _table_rows(
    file: BinaryIO, times: Times, split: Callable[[str], Sequence[str]], parse: Callable[[bytes], Interaction]
) -> Iterator[Row]:
    for number, line in _lines(file):
        if number == 1 and is_header(_header(line, split)):
            parse = _named(columns_of(_header(line, split)), split)
        else:
            yield number, _tried(parse, line, times)


def _tried(parse: Callable[[bytes], Interaction], line: bytes, times: Times) -> Interaction | BadInteraction:
    if len(line) > MAX_LINE_BYTES:
        return BadInteraction(f"longer than {MAX_LINE_BYTES:,} bytes")
    try:
        return times.to_ms(parse(line))
    except BadInteraction as bad:
        return bad


def _named(columns: Sequence[str | None], split: Callable[[str], Sequence[str]]) -> Callable[[bytes], Interaction]:
    def parse(line: bytes) -> Interaction:
        fields = split(_text(line))
        if len(fields) != len(columns):
            raise BadInteraction(f"{len(fields)} fields, the first line names {len(columns)}")
        return parse_object({name: field for name, field in zip(columns, fields, strict=True) if name})

    return parse


def _parse_tsv(line: bytes) -> Interaction:
    fields = _text(line).split("\t")
    if not 2 <= len(fields) <= len(ORDER):
        raise BadInteraction(f"{len(fields)} fields, not user, item, strength, timestamp, kind separated by tabs")
    return parse_object(dict(zip(ORDER, fields, strict=False)))


def _header(line: bytes, split: Callable[[str], Sequence[str]]) -> Sequence[str]:
    try:
        return split(_text(line[:MAX_LINE_BYTES]))
    except BadInteraction:
        return ()


def _wide_csv(line: str) -> Sequence[str]:
    """Split a line of any number of columns; `split_line`, which sees six at most, first judges its quotes."""
    if '"' not in line:
        return line.split(",")
    split_line(line)
    return next(csv.reader([line], strict=True))


def _text(line: bytes) -> str:
    try:
        return line.decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise BadInteraction(f"not UTF-8 at byte {error.start}") from None


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield numbered lines that are not blank, cut one byte above the limit; memory stays bounded."""
    number = 0
    try:
        while line := file.readline(MAX_LINE_BYTES + 1):
            number += 1
            rest = line
            while len(rest) > MAX_LINE_BYTES and not rest.endswith(b"\n"):
                rest = file.readline(MAX_LINE_BYTES + 1)
            if number == 1:
                line = line.removeprefix(_BOM)
            if line.strip():
                yield number, line
    except (EOFError, zlib.error, OSError) as error:  # a gzip file that was cut or damaged
        raise UserError(f"the file cannot be read after line {number:,} ({error}): fetch it again") from error
