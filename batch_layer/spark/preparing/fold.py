"""The fold, whose tasks leave their pairs in files and tell how many there are."""

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
from pyspark import TaskContext
from pyspark.sql import DataFrame
from pyspark.sql.pandas.types import from_arrow_schema

from batch_layer.folding.fold_stream import fold_stream
from batch_layer.folding.part_files import PartCounts, in_order, write_part
from batch_layer.host.scratch import scratch
from batch_layer.spark.rows.fold_input import sorted_rows
from oryx_py.events.fold import FoldSettings

if TYPE_CHECKING:  # every worker imports this module, few need that one
    from batch_layer.task_files.exchange import Exchange

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


def fold_into_parts(
    told: DataFrame, fold: FoldSettings, work: Path, parts: int, exchange: "Exchange | None" = None
) -> list[PartCounts]:
    """Fold rows (see `told_rows`) in so many ranges of users; returns what the parts have, in the order of the users.

    Parts without a pair are left out. They are written to ``work`` or, where tasks do not see that, brought there from
    the exchange, one after the other.
    """
    spill = partial(_spill, fold=fold, work=work) if exchange is None else partial(_hand_in, fold=fold, to=exchange)
    counts = sorted_rows(told, parts).mapInArrow(spill, from_arrow_schema(_COUNTS_SCHEMA))
    found = in_order(PartCounts(*row) for row in counts.collect())
    if exchange is not None:
        for part in found:
            path = part_path(work, part.number)
            exchange.download(path.name, path)
            exchange.delete(path.name)
    return found


def part_path(work: Path, number: int) -> Path:
    """Return where a part is."""
    return work / f"part-{number:05d}.arrow"


def _spill(batches: Iterable[pa.RecordBatch], *, fold: FoldSettings, work: Path) -> Iterator[pa.RecordBatch]:
    """The task."""
    number = _number()
    counts = write_part(part_path(work, number), number, fold_stream(batches, fold))
    if counts is not None:
        yield pa.RecordBatch.from_pylist([counts._asdict()], _COUNTS_SCHEMA)


def _hand_in(batches: Iterable[pa.RecordBatch], *, fold: FoldSettings, to: "Exchange") -> Iterator[pa.RecordBatch]:
    """The task, where the driver has its own directories."""
    with scratch("part") as folder:
        told = list(_spill(batches, fold=fold, work=folder))
        if told:
            path = part_path(folder, _number())
            to.upload(path, path.name)
    yield from told


def _number() -> int:
    context = TaskContext.get()
    return context.partitionId() if context is not None else 0
