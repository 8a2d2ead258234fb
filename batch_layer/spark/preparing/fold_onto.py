"""Folding only what is new, onto the pairs of the generation before, in ranges of its users.

1. new rows are brought to the range of their user: one file a range that has any;
2. a task a range merges them with the pairs of the range, and leaves a part as a fold of all rows would.
"""

import os
import uuid
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own idiom
from pyspark.sql.pandas.types import from_arrow_schema

from batch_layer.folding.fold_onto import TOLD_SCHEMA, merged
from batch_layer.folding.generation_pairs import Pairs
from batch_layer.folding.part_files import PartCounts, in_order, write_part
from batch_layer.history.base_generation import Base, base_files
from batch_layer.spark.preparing.fold import part_path
from batch_layer.spark.rows.fold_input import told_rows
from batch_layer.spark.session.tasks import on_tasks
from oryx_py.events.fold import FoldSettings

__all__ = ["fold_onto", "tasks_see"]

_ROUTED: Final = TOLD_SCHEMA.append(pa.field("part", pa.int32(), nullable=False))
_FILES: Final = pa.schema([pa.field("part", pa.int32()), pa.field("rows", pa.int64())])


class _Range(NamedTuple):
    """What a task does: its part's number, and the rows of its users."""

    number: int
    start: int
    stop: int


def tasks_see(spark: SparkSession, path: Path) -> bool:
    """Whether tasks, wherever they run, find a generation's files at this path."""
    if str(spark.sparkContext.master).startswith("local"):
        return True
    each = [path] * spark.sparkContext.defaultParallelism
    return all(on_tasks(spark, _has_files, each))


def fold_onto(
    spark: SparkSession, base: Base, rows: DataFrame, fold: FoldSettings, work: Path, parts: int
) -> list[PartCounts]:
    """Fold new rows onto a base in so many ranges of users; returns what the parts have, as `fold_into_parts`.

    Args:
        spark: whose tasks see the base and the directory.
        base: what is folded on.
        rows: those that came since and count, in the columns of `HISTORY_SCHEMA`.
        fold: the settings, also the base's.
        work: where parts and rows go.
        parts: how many ranges.
    """
    pairs = Pairs.open(base.path)
    cuts = pairs.cuts(parts).tolist()
    bounds = [pairs.user(row) if row < len(pairs.users) else None for row in cuts[1:-1]]
    forgets = rows.where((F.col("user") == "") & F.col("strength").isNull()).select("partition", "item").distinct()
    forgotten = [(row[0], row[1]) for row in forgets.collect()]
    routed = (
        told_rows(rows)
        .select(TOLD_SCHEMA.names)
        .mapInArrow(partial(_route, bounds=bounds), from_arrow_schema(_ROUTED))
        .repartition(parts, "part")
        .mapInArrow(partial(_spill_new, work=work), from_arrow_schema(_FILES))
    )
    routed.collect()
    merge = partial(
        _merge, base=base.path, work=work, forgotten=forgotten, partitions=len(base.manifest.input), fold=fold
    )
    ranges = [_Range(number, *cuts[number : number + 2]) for number in range(parts)]
    return in_order(counts for counts in on_tasks(spark, merge, ranges) if counts is not None)


def _has_files(path: Path) -> bool:
    return all((path / name).exists() for name in base_files())


def _new_path(work: Path, part: int) -> Path:
    return work / f"new-{part:05d}.arrow"


def _route(batches: Iterable[pa.RecordBatch], *, bounds: Sequence[bytes | None]) -> Iterator[pa.RecordBatch]:
    """Say of each row to which range its user belongs; bounds from None on are above every user."""
    known = [bound for bound in bounds if bound is not None]
    for batch in batches:
        users = batch.column("user").dictionary_encode()
        ranges = np.array([bisect_right(known, str(user).encode()) for user in users.dictionary.to_pylist()], np.int32)
        found = ranges[users.indices.to_numpy()] if batch.num_rows else np.empty(0, np.int32)
        yield pa.RecordBatch.from_arrays([*batch.columns, pa.array(found)], schema=_ROUTED)


def _spill_new(batches: Iterable[pa.RecordBatch], *, work: Path) -> Iterator[pa.RecordBatch]:
    """The task that has all rows of some ranges: one file for each."""
    found = list(batches)
    if not found:
        return
    table = pa.Table.from_batches(found)
    for part in map(int, np.unique(table.column("part").to_numpy())):
        rows = table.filter(pc.equal(table.column("part"), pa.scalar(part, pa.int32()))).select(TOLD_SCHEMA.names)
        _write(_new_path(work, part), rows)
        yield pa.RecordBatch.from_pylist([{"part": part, "rows": rows.num_rows}], _FILES)


def _merge(
    given: _Range, *, base: Path, work: Path, forgotten: Sequence[tuple[int, str]], partitions: int, fold: FoldSettings
) -> PartCounts | None:
    """The task of one range."""
    path = _new_path(work, given.number)
    new = _read(path) if path.exists() else TOLD_SCHEMA.empty_table()
    table = merged(Pairs.open(base), given.start, given.stop, new, forgotten, partitions, fold)
    return write_part(part_path(work, given.number), given.number, table.to_batches())


def _write(path: Path, rows: pa.Table) -> None:
    """The file appears at once and whole, so that an attempt that died does no harm."""
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    with pa.OSFile(str(aside), "wb") as file, pa.ipc.new_file(file, rows.schema) as writer:
        writer.write_table(rows)
    os.replace(aside, path)  # noqa: PTH105 - Path.replace says the same by another name


def _read(path: Path) -> Any:
    with pa.memory_map(str(path)) as file:
        return pa.ipc.open_file(file).read_all()
