"""What a commit says of a file of rows, from the file's own footer. Pure."""

from datetime import UTC, datetime
from typing import cast

import pyarrow.parquet as pq

from oryx_py.model.history import HistoryFile

__all__ = ["day_of", "described"]


def described(footer: pq.FileMetaData, path: str, size: int) -> HistoryFile:
    """Return the entry of a file, with its oldest and newest Kafka timestamp where the footer has them.

    Args:
        footer: of the Parquet file.
        path: below the history's root.
        size: in bytes.
    """
    column = footer.schema.names.index("kafka_ms")
    bounds = [_bounds(footer.row_group(number).column(column)) for number in range(footer.num_row_groups)]
    known = [bound for bound in bounds if bound is not None]
    if not known or len(known) < len(bounds):
        return HistoryFile(path, footer.num_rows, size)
    first, last = min(first for first, _ in known), max(last for _, last in known)
    return HistoryFile(path, footer.num_rows, size, first_ms=first, last_ms=last)


def _bounds(column: pq.ColumnChunkMetaData) -> tuple[int, int] | None:
    found = column.statistics
    return (cast("int", found.min), cast("int", found.max)) if found is not None and found.has_min_max else None


def day_of(time_ms: int) -> str:
    """Return the day, UTC, as ``2026-07-31``; what has no time belongs to 1970."""
    return datetime.fromtimestamp(max(0, time_ms) / 1000, UTC).strftime("%Y-%m-%d")
