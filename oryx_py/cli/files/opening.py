"""Opening a file of interactions: its compression and its format are seen from its first bytes and its name."""

import gzip
import io
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, cast

from oryx_py.cli.choices import Format, Unit
from oryx_py.cli.files.lines import csv_rows, json_rows, tsv_rows
from oryx_py.cli.files.mistaken import mistake
from oryx_py.cli.files.parquet import parquet_rows
from oryx_py.cli.files.rows import Row, Times
from oryx_py.errors import UserError

__all__ = ["InteractionFile", "open_interactions"]

_SUFFIXES: Final[Mapping[str, Format]] = {
    ".csv": "csv",
    ".json": "jsonl",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".tab": "tsv",
    ".tsv": "tsv",
}
_READERS: Final[Mapping[Format, Callable[[BinaryIO, Times], Iterator[Row]]]] = {
    "csv": csv_rows,
    "jsonl": json_rows,
    "tsv": tsv_rows,
}
_PEEK_BYTES: Final = 4096


class InteractionFile:
    """An open file, read once from its beginning.

    Attributes:
        format: what it is read as.
        size_bytes: of the file as it lies on the disk; None for standard input.
        times: the unit of its timestamps; decided by the first one if it was "auto".
    """

    def __init__(
        self, rows: Iterator[Row], format_: Format, size_bytes: int | None, position: Callable[[], int], times: Times
    ) -> None:
        self._rows, self._position = rows, position
        self.format, self.size_bytes, self.times = format_, size_bytes, times

    def rows(self) -> Iterator[Row]:
        """Yield the rows that are not blank.

        Raises:
            UserError: the file cannot be read any further.
        """
        return self._rows

    def position_bytes(self) -> int:
        """Return how far the file has been read, of ``size_bytes``; in Parquet 0 all the time."""
        return self._position()


@contextmanager
def open_interactions(path: Path, format_: Format | None = None, unit: Unit = "auto") -> Iterator[InteractionFile]:
    """Open a file, ``-`` for standard input.

    Args:
        path: of the file.
        format_: None to see it from the name's ending, else from the first bytes.
        unit: of the timestamps.

    Raises:
        UserError: it cannot be opened, or not as this format, or its beginning shows that it is something else.
    """
    times = Times(unit)
    if str(path) == "-":
        yield _of_lines(sys.stdin.buffer, "standard input", None, format_, times)
        return
    try:
        size, raw = path.stat().st_size, path.open("rb")
    except OSError as error:
        raise UserError(f"{path} cannot be opened: {error.strerror}") from None
    with raw:
        found = format_ or _format_of(path)
        if found == "parquet" or (found is None and raw.peek(4)[:4] == b"PAR1"):
            yield InteractionFile(parquet_rows(path, times), "parquet", size, lambda: 0, times)
        else:
            yield _of_lines(raw, str(path), size, found, times)


def _of_lines(raw: BinaryIO, name: str, size: int | None, format_: Format | None, times: Times) -> InteractionFile:
    if format_ == "parquet":
        raise UserError("Parquet cannot be read from standard input: give the file's name")
    stream = io.BufferedReader(cast("io.RawIOBase", raw), _PEEK_BYTES)
    if stream.peek(2)[:2] == b"\x1f\x8b":
        stream = io.BufferedReader(cast("io.RawIOBase", gzip.GzipFile(fileobj=stream)), 1 << 16)
    start = _peeked(stream)
    found = format_ or _format_in(start)
    if wrong := mistake(start, found):
        raise UserError(f"{name} {wrong}")

    def position() -> int:
        # The reader's end closes what it reads.
        return (size if raw.closed else raw.tell()) if size is not None else 0

    return InteractionFile(_READERS[found](stream, times), found, size, position, times)


def _format_of(path: Path) -> Format | None:
    plain = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    return _SUFFIXES.get(plain.suffix.lower())


def _format_in(start: bytes) -> Format:
    """Judge by the first line: JSON begins with a bracket, and a tab is a separator where one is."""
    first = start.split(b"\n", 1)[0].lstrip()
    if first[:1] in {b"{", b"["}:
        return "jsonl"
    return "tsv" if b"\t" in first else "csv"


def _peeked(stream: "io.BufferedReader[io.RawIOBase]") -> bytes:
    try:
        return stream.peek(_PEEK_BYTES)
    except (OSError, EOFError):  # damaged: the reader will say so, with the line
        return b""
