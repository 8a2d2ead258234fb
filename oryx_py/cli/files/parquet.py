"""Interactions in Parquet, read in bounded batches."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

from oryx_py.cli.extras import need
from oryx_py.cli.files.rows import Row, Times, columns_of
from oryx_py.errors import BadInteraction, UserError
from oryx_py.events import Interaction, parse_object

__all__ = ["parquet_rows"]

_BATCH_ROWS = 10_000
_EXACT = 2**53
"""Up to here a float has every whole number."""


def parquet_rows(path: Path, times: Times) -> Iterator[Row]:
    """Read rows whose columns are named like a header's; a null strength deletes, as in JSON.

    Raises:
        UserError: it is no Parquet, or no columns of users and items are in it.
        MissingDependency: pyarrow is not installed.
    """
    need("batch", "pyarrow")
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        names = file.schema_arrow.names
        columns = {name: meaning for name, meaning in zip(names, columns_of(names), strict=True) if meaning}
        if not {"user", "item"} <= set(columns.values()):
            raise UserError(f"{path} has columns {', '.join(names)}: rename those of users and items to user and item")
        number = 0
        for batch in file.iter_batches(_BATCH_ROWS, columns=list(columns)):
            for row in batch.to_pylist():
                number += 1
                yield number, _tried({columns[name]: _plain(value) for name, value in row.items()}, times)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path} cannot be read as Parquet: {error}") from error


def _tried(row: dict[str, object], times: Times) -> Interaction | BadInteraction:
    when = row.get("timestamp")
    try:
        if isinstance(when, date):
            row["timestamp"] = _epoch_ms(when)
            return parse_object(row)
        return times.to_ms(parse_object(row))
    except BadInteraction as bad:
        return bad


def _plain(value: object) -> object:
    """A value as JSON would have it; writers differ in the type that a column of texts or of numbers gets."""
    match value:
        case Decimal():
            return float(value)
        case bytes():
            try:
                return value.decode()
            except UnicodeDecodeError:
                return value  # which is refused as no text
        case float() if value.is_integer() and abs(value) <= _EXACT:
            return int(value)  # a table with a gap in it has made numbers of whole ones
    return value


def _epoch_ms(when: date) -> int:
    """Milliseconds since 1970; a time without a zone is UTC, as Parquet's are."""
    whole = when if isinstance(when, datetime) else datetime(when.year, when.month, when.day, tzinfo=UTC)
    aware = whole if whole.tzinfo else whole.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1000)
