"""What the beginning of a file shows it to be, where that is not what it is about to be read as. Pure.

Read on regardless, such a file would have every line of it refused, or stored with users and items in each other's
place. It is asked about the first line alone: a bad line further down is that line's affair, and not the whole file's.
"""

import csv
import re
from collections.abc import Sequence
from typing import Final

from oryx_py.cli.choices import Format
from oryx_py.cli.files.rows import is_header, is_number, plain_name

__all__ = ["mistake", "other_kind"]

_UTF_16: Final = "is text in UTF-16: convert it, as `iconv -f UTF-16 -t UTF-8` does"
_STARTS: Final = (
    (rb"PK\x03\x04", "is a zip archive or a spreadsheet: unpack it, or save it as CSV"),
    (rb"PAR1", "is Parquet: say --format parquet"),
    (rb"BZh[1-9]1AY&SY", "is compressed by bzip2: unpack it"),
    (rb"\xfd7zXZ\x00", "is compressed by xz: unpack it"),
    (rb"\x28\xb5\x2f\xfd", "is compressed by zstd: unpack it"),
    (rb"\xff\xfe|\xfe\xff", _UTF_16),
)
_SEPARATORS: Final = {
    ",": "commas",
    "\t": "tabs",
    ";": "semicolons",
    "|": "bars",
    "::": "double colons",
    " ": "spaces",
}
_REMEDIES: Final = {
    ",": "say --format csv",
    "\t": "say --format tsv",
    "::": "if it is MovieLens', `oryx history import --format movielens` reads it; else write commas",
}
_COMMAS: Final = "write commas, and points in numbers; or tabs, with the ending .tsv"
_DECIMAL_COMMA: Final = re.compile(r"[+-]?[0-9]+,[0-9]+")
_OF_USERS: Final = frozenset({"user", "userid", "customerid", "visitorid"})
_OF_ITEMS: Final = frozenset({"item", "itemid", "movieid", "artistid", "productid"})


def mistake(start: bytes, format_: Format) -> str | None:
    """Return why a file cannot be what it is taken for, and what to do: the end of a line that begins with its name.

    Args:
        start: its first bytes, unpacked; some thousands do.
        format_: as what it is about to be read; never Parquet.

    Returns:
        None where it may be right, which its lines will show.
    """
    if kind := other_kind(start):
        return kind
    text = start.removeprefix(b"\xef\xbb\xbf").decode(errors="replace").lstrip()
    first = text.split("\n", 1)[0].rstrip("\r")
    if format_ == "jsonl":
        return _json(text, first)
    if re.match(r'\{\s*"|\[\s*\{', text):
        return "is JSON: `oryx ingest --format jsonl` reads it, an object a line"
    return _table(first, "\t" if format_ == "tsv" else ",")


def other_kind(start: bytes) -> str | None:
    """Return what a file is that has no lines to be read, and what to do; as `mistake`."""
    if found := next((what for magic, what in _STARTS if re.match(magic, start)), None):
        return found
    return "is no text: give a file of lines, or Parquet" if b"\0" in start.split(b"\n", 1)[0] else None


def _json(text: str, first: str) -> str | None:
    if re.match(r"\[\s*\{", text):
        return "is one array of objects: write an object a line, as `jq -c '.[]'` does"
    if first.rstrip() in {"{", "["}:
        return "has an object on several lines: write an object a line, as `jq -c .` does"
    return None


def _table(first: str, separator: str) -> str | None:
    fields = _fields(first, separator)
    if is_header(fields):
        return None
    for other, name in _SEPARATORS.items():
        parts = _fields(first, other)
        if other == separator or len(parts) < 2:
            continue
        decimals = other == ";" and len(parts) > 2 and _DECIMAL_COMMA.fullmatch(parts[2])
        if len(fields) == 1 or decimals or is_header(parts):
            return f"has {name} between its fields, not {_SEPARATORS[separator]}: {_REMEDIES.get(other, _COMMAS)}"
    return _half_a_header(fields)


def _half_a_header(fields: Sequence[str]) -> str | None:
    """What is no interaction, for want of a number, and no header: by the order alone users may be taken for items."""
    if any(map(is_number, fields)):
        return None
    names = {plain_name(field) for field in fields}
    if bool(names & _OF_USERS) != bool(names & _OF_ITEMS):
        told, lacking = ("users", "item") if names & _OF_USERS else ("items", "user")
        return f"names its column of {told} in the first line, and none of {lacking}s: call that one {lacking}"
    if len(fields) > 2 and fields[2]:
        return (
            "begins with a line that is no interaction and does not name columns of users and items: "
            "call these user and item, or take the line out"
        )
    return None


def _fields(line: str, separator: str) -> list[str]:
    if '"' in line and len(separator) == 1:
        try:
            return [field.strip() for field in next(csv.reader([line], delimiter=separator, strict=True))]
        except csv.Error:
            pass  # its quotes will be refused with the line
    return [field.strip() for field in line.split(separator)]
