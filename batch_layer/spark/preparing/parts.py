"""The fold, whose tasks leave their pairs in files and tell how many there are."""

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from pyspark import TaskContext
from pyspark.sql import DataFrame
from pyspark.sql.pandas.types import from_arrow_schema

from batch_layer.parts import PartCounts, in_order, write_part
from batch_layer.spark.folding import sorted_rows
from batch_layer.streams import fold_stream
from oryx_py.events.fold import FoldSettings

__all__ = ["fold_into_parts", "part_path"]

_COUNTS: list["pa.Field[Any]"] = [
    pa.field("number", pa.int32()),
    pa.field("first_user", pa.string()),
    pa.field("last_user", pa.string()),
    pa.field("users", pa.int64()),
    pa.field("pairs", pa.int64()),
    pa.field("user_bytes", pa.int64()),
    pa.field("file_bytes", pa.int64()),
]
_COUNTS_SCHEMA: Final = pa.schema(_COUNTS)


def fold_into_parts(told: DataFrame, fold: FoldSettings, work: Path, parts: int) -> list[PartCounts]:
    """Fold rows (see `told_rows`) in so many ranges of users; returns what the parts have, in the order of the users.

    Parts without a pair are left out.
    """
    counts = sorted_rows(told, parts).mapInArrow(
        partial(_spill, fold=fold, work=work), from_arrow_schema(_COUNTS_SCHEMA)
    )
    return in_order(PartCounts(*row) for row in counts.collect())


def part_path(work: Path, number: int) -> Path:
    """Return where a part is."""
    return work / f"part-{number:05d}.arrow"


def _spill(batches: Iterable[pa.RecordBatch], *, fold: FoldSettings, work: Path) -> Iterator[pa.RecordBatch]:
    """The task."""
    context = TaskContext.get()
    number = context.partitionId() if context is not None else 0
    counts = write_part(part_path(work, number), number, fold_stream(batches, fold))
    if counts is not None:
        yield pa.RecordBatch.from_pylist([counts._asdict()], _COUNTS_SCHEMA)
