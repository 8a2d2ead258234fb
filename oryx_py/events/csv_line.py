"""One line of RFC 4180 CSV, nothing more: quotes around a field, doubled inside; a stray quote is refused.

Python's own csv module reads a stray quote as a part of the field, and takes three times as long for a plain line.
"""

import re
from collections.abc import Sequence

from oryx_py.errors import BadInteraction

__all__ = ["join_fields", "split_line"]

MAX_FIELDS = 6
"""One more than a line may have: enough to see that there are too many, however long the line."""

_QUOTED_OR_PLAIN = re.compile(r'"([^"]*+(?:""[^"]*+)*+)"|([^",]*+)')


def split_line(line: str) -> list[str]:
    """Return the fields of one line, at most `MAX_FIELDS`, of which the last may hold more; a line break may end it.

    Raises:
        BadInteraction: a quote is where RFC 4180 has none.
    """
    if line[-1:] == "\n":
        line = line[:-2] if line[-2:] == "\r\n" else line[:-1]
    if '"' not in line:
        return line.split(",", MAX_FIELDS - 1)
    fields: list[str] = []
    at = 0
    while len(fields) < MAX_FIELDS:
        match = _QUOTED_OR_PLAIN.match(line, at)
        assert match is not None  # the plain form also matches nothing
        at = match.end()
        if at < len(line) and line[at] != ",":
            raise BadInteraction(
                f"a stray quote near character {at + 1}: quote the whole field, and double the quotes in it"
            )
        quoted, plain = match.groups()
        fields.append(plain if quoted is None else quoted.replace('""', '"'))
        if at == len(line):
            break
        at += 1
    return fields


def join_fields(fields: Sequence[str]) -> str:
    """Return the line that `split_line` splits into these fields, quoted only where they need it."""
    return ",".join([_quote(field) for field in fields])


def _quote(field: str) -> str:
    # A line that begins with [ would be read as JSON.
    if "," in field or '"' in field or field[:1] == "[" or "\n" in field or "\r" in field:
        return '"' + field.replace('"', '""') + '"'
    return field
