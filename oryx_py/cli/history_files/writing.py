"""All rows of the history in one file."""

import gzip
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
import pyarrow.parquet as pq

from batch_layer.folding.forgotten_rows import Forgets, Repeats
from oryx_py.cli.choices import TableFormat
from oryx_py.cli.history_files.ordering import rows_in_order
from oryx_py.errors import UserError
from oryx_py.events import FoldSettings
from oryx_py.model.history.commits import History

__all__ = ["export_rows"]

_GROUP_ROWS: Final = 131_072


def export_rows(
    history: History,
    read: Callable[[str], BinaryIO | Path],
    to: Path,
    format_: TableFormat,
    fold: FoldSettings,
    on_rows: Callable[[float], None] = lambda _: None,
) -> int:
    """Write the history's rows, each partition's in the order of their offsets; returns how many were written.

    The file appears when it is whole. Memory is bounded by the history's largest file, and by some of one commit's
    where these were rewritten.

    Args:
        history: which files.
        read: opens one of them by its path, or says where it is on this machine.
        to: what to write; CSV with the ending ``.gz`` is compressed.
        format_: of it. In CSV rows that repeat others are left out, and what was forgotten with the forgets themselves:
            an item's counts by partition, which lines could not say.
        fold: says which rows repeat others.
        on_rows: told how many have been read.

    Raises:
        UserError: it cannot be written.
    """
    repeats, forgets = Repeats(fold), Forgets()
    if format_ == "csv":
        known = Repeats(fold)
        for rows in rows_in_order(history, read, Repeats.COLUMNS):
            forgets.add(known.without(rows))
    aside = to.with_name(f".{to.name}.tmp")
    written = done = 0
    try:
        with _writer(aside, to.suffix == ".gz", format_) as write:
            for rows in rows_in_order(history, read):
                done += rows.num_rows
                if format_ == "csv":
                    rows = _told(forgets.without(repeats.without(rows)))
                write(rows)
                written += rows.num_rows
                on_rows(done)
        aside.replace(to)
    except OSError as error:
        raise UserError(f"{to} cannot be written: {error.strerror or error}") from error
    finally:
        aside.unlink(missing_ok=True)
    return written


def _told(rows: pa.Table) -> pa.Table:
    """The columns of a line, in their order; Kafka's time where the client gave none."""
    told = rows.select(["user", "item", "strength", "timestamp_ms", "kind"])
    when = pc.coalesce(rows.column("timestamp_ms"), rows.column("kafka_ms"))
    return told.set_column(3, "timestamp", when)


@contextmanager
def _writer(path: Path, packed: bool, format_: TableFormat) -> Iterator[Callable[[pa.Table], object]]:
    made: list[Any] = []
    with _stream(path, packed and format_ == "csv") as stream:

        def write(rows: pa.Table) -> object:
            if not made:
                made.append(
                    csv.CSVWriter(stream, rows.schema)
                    if format_ == "csv"
                    else pq.ParquetWriter(stream, rows.schema, compression="zstd")
                )
            return made[0].write_table(rows, _GROUP_ROWS)

        yield write
        if made:
            made[0].close()


def _stream(path: Path, packed: bool) -> BinaryIO:
    return cast("BinaryIO", gzip.GzipFile(path, "wb", compresslevel=1)) if packed else path.open("wb")
