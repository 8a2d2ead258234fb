"""Files of interactions in batches of columns: CSV, Parquet, and what MovieLens and Last.fm give out."""

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from oryx_py.cli.choices import BulkFormat, Unit
from oryx_py.cli.files.mistaken import mistake, other_kind
from oryx_py.cli.files.rows import ORDER, Times, columns_of, is_header
from oryx_py.cli.history_files.checking import Checked, check
from oryx_py.errors import UserError

__all__ = ["file_of", "read_bulk"]

_BLOCK_BYTES: Final = 16 << 20
_BATCH_ROWS: Final = 250_000
_MOVIELENS: Final = ("ratings.csv", "ratings.dat", "u.data")
_LASTFM: Final = ("user_artists.dat",)
_LONGEST_LINE: Final = 1 << 16

_Batches: TypeAlias = Iterator[Checked]


def read_bulk(path: Path, format_: BulkFormat, unit: Unit, *, forgets: bool = True) -> _Batches:
    """Read a file, plain or gzip, from its beginning to its end in bounded memory.

    Args:
        path: of the file; of MovieLens and Last.fm also the folder that it is in.
        format_: what it is.
        unit: of its timestamps; MovieLens has seconds.
        forgets: whether rows may forget users and items.

    Raises:
        UserError: it cannot be read, or is something else.
    """
    found = file_of(path, format_)
    times = Times("s" if format_ == "movielens" else unit)
    try:
        if format_ == "parquet":
            yield from _parquet(found, times, forgets)
        else:
            yield from _lines(found, format_, times, forgets)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise UserError(f"{found} cannot be read as {format_}: {error}") from error


def file_of(path: Path, format_: BulkFormat) -> Path:
    """Return the file that is meant, where a data set's folder is given.

    Raises:
        UserError: it is a folder without such a file.
    """
    if not path.is_dir():
        return path
    names = {"movielens": _MOVIELENS, "lastfm": _LASTFM}.get(format_, ())
    for name in names:
        if (path / name).exists():
            return path / name
    wanted = f"none of {', '.join(names)} is in it" if names else "give the files in it"
    raise UserError(f"{path} is a folder: {wanted}")


def _parquet(path: Path, times: Times, forgets: bool) -> _Batches:
    file = pq.ParquetFile(path)
    names = file.schema_arrow.names
    meanings = dict(zip(names, columns_of(names), strict=True))
    _need_ids(path, meanings)
    row = 1
    for batch in file.iter_batches(_BATCH_ROWS, columns=[name for name, meaning in meanings.items() if meaning]):
        columns = {meanings[name] or "": batch.column(name) for name in batch.schema.names}
        yield check(columns, row, times, forgets=forgets)
        row += batch.num_rows


def _lines(path: Path, format_: BulkFormat, times: Times, forgets: bool) -> _Batches:
    # One edition of Last.fm's file has two counts before its rows, and no names.
    skipped, start = _first_line(path, format_)
    separator = "::" if format_ == "movielens" and "::" in start else "\t" if "\t" in start else ","
    fields = start.split(separator)
    headed = is_header(fields)
    meanings = columns_of(fields) if headed else _in_order(len(fields))
    names = [f"{number}" for number in range(len(fields))]
    wrong: list[str] = []

    def skip(row: pc.InvalidRow) -> Literal["skip"]:
        wrong.append(f"{row.actual_columns} fields, not {row.expected_columns}: {row.text[:80]!r}")
        return "skip"

    with _opened(path, separator) as stream:
        reader = pc.open_csv(
            stream,
            read_options=pc.ReadOptions(
                column_names=names, skip_rows=skipped + headed, block_size=_BLOCK_BYTES, use_threads=False
            ),
            parse_options=pc.ParseOptions(
                delimiter="\t" if separator == "::" else separator,
                quote_char='"' if separator == "," else False,
                invalid_row_handler=skip,
            ),
            convert_options=pc.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                include_columns=[name for name, meaning in zip(names, meanings, strict=True) if meaning],
                strings_can_be_null=False,
                quoted_strings_can_be_null=False,
            ),
        )
        by_name = dict(zip(names, meanings, strict=True))
        _need_ids(path, by_name)
        row = 1 + skipped + headed
        for batch in reader:
            columns = {by_name[name] or "": batch.column(name) for name in batch.schema.names}
            checked = check(columns, row, times, forgets=forgets)
            row += batch.num_rows + len(wrong)
            yield Checked(checked.rows, checked.refused + len(wrong), (*checked.reasons, *wrong[:20]))
            wrong.clear()


def _in_order(columns: int) -> list[str | None]:
    return [ORDER[place] if place < len(ORDER) else None for place in range(columns)]


def _need_ids(path: Path, meanings: Mapping[str, str | None]) -> None:
    if not {"user", "item"} <= set(meanings.values()):
        raise UserError(f"{path} has no columns of users and items: name them user and item")


def _first_line(path: Path, format_: BulkFormat) -> tuple[int, str]:
    """The first line that has something in it, and how many are before it."""
    try:
        with _opened(path, "") as stream:
            start = bytes(stream.read(_LONGEST_LINE))
    except OSError as error:
        raise UserError(f"{path} cannot be opened: {error.strerror or error}") from None
    text = start.removeprefix(b"\xef\xbb\xbf").decode(errors="replace")
    having = "\t" if format_ == "lastfm" else ""
    for number, line in enumerate(text.splitlines()):
        if line.strip() and having in line:
            wrong = mistake(start, "tsv" if "\t" in line else "csv") if format_ == "csv" else other_kind(start)
            if wrong:
                raise UserError(f"{path} {wrong}")
            return number, line
    raise UserError(f"{path} {other_kind(start) or 'has no line that could be an interaction'}")


def _opened(path: Path, separator: str) -> Any:
    stream = pa.input_stream(str(path), compression="detect", buffer_size=_BLOCK_BYTES)
    return pa.PythonFile(_Tabbed(stream), mode="r") if separator == "::" else stream


class _Tabbed(io.RawIOBase):
    """Bytes with a tab in the place of each ``::``, which no reader of tables takes for a separator."""

    def __init__(self, source: pa.NativeFile) -> None:
        self._source = source
        self._rest = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """Return what comes next; empty at the end."""
        # With the byte kept back it must not be more than was asked for.
        found = bytes(self._source.read(max(1, size - 1)) if size >= 0 else self._source.read())
        whole = self._rest + found
        cut = bool(found) and (len(whole) - len(whole.rstrip(b":"))) % 2 == 1
        self._rest = b":" if cut else b""
        return (whole[:-1] if cut else whole).replace(b"::", b"\t") or (self.read(size) if found else b"")
