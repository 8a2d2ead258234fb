"""The rows of the history's files in the order of their offsets, for who reads all of them by itself."""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import BinaryIO, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from oryx_py.model.history.commits import History, HistoryFile

__all__ = ["rows_in_order"]

_IN_FOLD: Final[list[tuple[str, Literal["ascending", "descending"]]]] = [
    ("partition", "ascending"),
    ("offset", "ascending"),
]


def rows_in_order(
    history: History, read: Callable[[str], BinaryIO | Path], columns: list[str] | None = None
) -> Iterator[pa.Table]:
    """Iterate over a history's rows so that no partition's offsets go back: imports, then by commit.

    Args:
        history: which files.
        read: opens one of them by its path, or says where it is on this machine.
        columns: which ones, partition and offset among them; None for all.
    """

    def place(file: HistoryFile) -> tuple[bool, int]:
        return file.origin not in history.imports, file.origin

    for _, files in groupby(sorted(history.files, key=place), place):
        together = list(files)
        if len(together) == 1:
            yield _table(read(together[0].path), columns).sort_by(_IN_FOLD)
        else:
            yield from _woven(together, read, columns)


def _woven(
    files: Sequence[HistoryFile], read: Callable[[str], BinaryIO | Path], columns: list[str] | None
) -> Iterator[pa.Table]:
    """The rows of one commit's files, whose names say nothing of their order once some were rewritten.

    Each file is read once, by its lowest partition and the first offset there; what another may have rows before waits.
    """
    found = [(_starts(read(file.path)), file.path) for file in files]
    found = sorted(((starts, path) for starts, path in found if starts), key=lambda each: min(each[0].items()))
    still = [dict[int, int]()]  # by partition the first offset of the files that are not read yet; backwards
    for starts, _ in reversed(found[1:]):
        still.append({**still[-1], **{p: min(first, still[-1].get(p, first)) for p, first in starts.items()}})
    waiting: list[pa.Table] = []
    for (_, path), coming in zip(found, reversed(still), strict=True):
        rows = pa.concat_tables([*waiting, _table(read(path), columns)]).sort_by(_IN_FOLD)
        partitions, safe = rows.column("partition").to_numpy(), np.ones(rows.num_rows, np.bool_)
        for partition, first in coming.items():
            safe &= (partitions != partition) | (rows.column("offset").to_numpy() < first)
        waiting = [rows.filter(pa.array(~safe))]
        yield rows.filter(pa.array(safe))


def _starts(source: BinaryIO | Path) -> dict[int, int]:
    """By partition, the first offset in a file."""
    firsts = _table(source, ["partition", "offset"]).group_by("partition").aggregate([("offset", "min")])
    return dict(zip(*(firsts.column(name).to_pylist() for name in ("partition", "offset_min")), strict=True))


def _table(source: BinaryIO | Path, columns: list[str] | None = None) -> pa.Table:
    with pq.ParquetFile(source) as file:
        return file.read(columns)
