"""What a commit says of a file of rows, from the file's own footer. Pure."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TypeVar

import pyarrow.parquet as pq

from oryx_py.model.history.commits import HistoryFile

__all__ = ["LAST_MS", "day_of", "described"]

LAST_MS = 253_402_300_799_999
"""The end of the year 9999: no later day has a name. Where a topic takes its producers' times, one may say anything."""

T = TypeVar("T", int, str)


def described(footer: pq.FileMetaData, path: str, size: int) -> HistoryFile:
    """Return the entry of a file, as far as the footer says it: its oldest and newest Kafka timestamp, and forgets.

    Args:
        footer: of the Parquet file.
        path: below the history's root.
        size: in bytes.
    """
    forgets = _has_forgets(footer)
    times = list(_bounds(footer, "kafka_ms", int))
    known = [bound for bound in times if bound is not None]
    if not known or len(known) < len(times):
        return HistoryFile(path, footer.num_rows, size, forgets=forgets)
    first, last = min(first for first, _ in known), max(last for _, last in known)
    return HistoryFile(path, footer.num_rows, size, first_ms=first, last_ms=last, forgets=forgets)


def _has_forgets(footer: pq.FileMetaData) -> bool | None:
    """Whether a row has an empty user or item, which sorts before all others; None where the footer leaves it open."""
    least = [bound and bound[0] for name in ("user", "item") for bound in _bounds(footer, name, str)]
    return True if "" in least else None if None in least else False


def _bounds(footer: pq.FileMetaData, name: str, kind: type[T]) -> Iterator[tuple[T, T] | None]:
    """By row group the least and the most of a column, None where the footer does not say it."""
    column = footer.schema.names.index(name)
    for number in range(footer.num_row_groups):
        found = footer.row_group(number).column(column).statistics
        if found is not None and found.has_min_max and isinstance(found.min, kind) and isinstance(found.max, kind):
            yield found.min, found.max
        else:
            yield None


def day_of(time_ms: int) -> str:
    """Return the day, UTC, as ``2026-07-31``; what has no time belongs to 1970, what is beyond to the last that is."""
    return datetime.fromtimestamp(min(max(0, time_ms), LAST_MS) // 1000, UTC).strftime("%Y-%m-%d")
