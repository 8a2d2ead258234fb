"""Many CSV lines at once: those that have nothing odd about them, which is nearly all.

Columns are cut and checked as a whole, so that a line costs no step of its own in Python. What is not plain (quotes,
JSON, a line break, an ID that is long or not printable, a number that cannot be read) is left to
`oryx_py.events.parse_value`, which is also what this is tested against.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import repeat

import numpy as np

from oryx_py.errors import BadInteraction
from oryx_py.events.codec import FIELDS, strength_of_text
from oryx_py.events.columns import InteractionColumns
from oryx_py.events.ids import SURELY_SHORT

__all__ = ["read_plain"]

_FEW = 8
"""Lines that are sooner read one by one than cut in halves again."""
_TIME_DIGITS = 18
"""So many always fit into 64 bits."""


def read_plain(values: Sequence[bytes | None]) -> Iterator[tuple[list[int], InteractionColumns]]:
    """Yield the plain lines among values, as many at a time as have the same number of fields.

    Yields:
        The numbers of the lines, ascending, and what `parse_value` reads in them.
    """
    lines = [value for value in values if value is not None]
    alike = _fields_of_all(lines) if len(lines) == len(values) else 0
    if alike and (columns := _cut(lines, alike)) is not None:
        yield list(range(len(lines))), columns
        return
    groups: defaultdict[int, list[int]] = defaultdict(list)
    for number, value in enumerate(values):
        if value and value[0] != 0x5B and b'"' not in value:  # [
            groups[value.count(b",")].append(number)
    for commas, numbers in groups.items():
        if 1 <= commas < FIELDS:
            yield from _plain(numbers, [values[number] or b"" for number in numbers], commas + 1)


def _fields_of_all(lines: Sequence[bytes]) -> int:
    """Return how many fields each line has; 0 where they differ, or one is odd at the first glance."""
    counts = set(map(bytes.count, lines, repeat(b",")))
    commas = counts.pop() if len(counts) == 1 else 0
    return commas + 1 if 1 <= commas < FIELDS and not any(map(bytes.startswith, lines, repeat(b"["))) else 0


def _plain(numbers: list[int], lines: list[bytes], fields: int) -> Iterator[tuple[list[int], InteractionColumns]]:
    """Cut lines as a whole, or by halves where one is odd; a few with an odd one among them are left out."""
    columns = _cut(lines, fields)
    if columns is not None:
        yield numbers, columns
    elif len(lines) > _FEW:
        middle = len(lines) // 2
        yield from _plain(numbers[:middle], lines[:middle], fields)
        yield from _plain(numbers[middle:], lines[middle:], fields)


def _cut(lines: Sequence[bytes], fields: int) -> InteractionColumns | None:
    """Return the columns of lines with so many fields each; None where any of them is not plain."""
    text = b",".join(lines)
    if b'"' in text:
        return None
    try:
        words = text.decode().split(",")
    except UnicodeDecodeError:
        return None
    if not "".join(words).isprintable():
        return None
    users, items, (strength, time, kind) = words[::fields], words[1::fields], _OPTIONAL[fields]
    nothing = [""] * len(lines)
    strengths = _strengths(words[2::fields]) if strength else [1.0] * len(lines)
    times, kinds = words[3::fields] if time else nothing, words[4::fields] if kind else nothing
    if not (strengths is not None and _are_ids(users) and _are_ids(items) and _are_times(times) and _are_short(kinds)):
        return None
    return InteractionColumns(users, items, np.array(strengths, np.float64), times, kinds)


_OPTIONAL = {count: (count > 2, count > 3, count > 4) for count in range(2, FIELDS + 1)}


def _strengths(texts: Sequence[str]) -> list[float] | None:
    """Return the numbers, NaN for empty ones; few are read, as strengths are few numbers that come again."""
    known: dict[str, float] = {}
    try:
        for text in set(texts):
            strength = strength_of_text(text)
            known[text] = math.nan if strength is None else strength
    except BadInteraction:
        return None
    return list(map(known.__getitem__, texts))


def _are_ids(names: Sequence[str]) -> bool:
    return "" not in names and _are_short(names)


def _are_short(names: Sequence[str]) -> bool:
    return max(map(len, names), default=0) <= SURELY_SHORT


def _are_times(texts: Sequence[str]) -> bool:
    digits = "".join(texts)
    return not digits or (digits.isascii() and digits.isdigit() and max(map(len, texts)) <= _TIME_DIGITS)
