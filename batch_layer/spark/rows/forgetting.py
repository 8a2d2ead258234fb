"""What was forgotten, in Spark's tasks: which forgets count, which files have what they forget, and these anew.

This process gets the newest forget of each user and item, and names of files: nothing that grows with the rows.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame, Observation, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own idiom
from pyspark.sql.pandas.types import from_arrow_schema

from batch_layer.engine import Rewritten
from batch_layer.folding.forgotten_rows import Forgets
from batch_layer.spark.rows.dedupe import repeats_of, shared, without
from batch_layer.spark.rows.file_groups import GROUPED, PATH, grouped, place
from batch_layer.spark.rows.history_rows import read_rows
from batch_layer.spark.rows.topic_reader import write_days
from oryx_py.events import FoldSettings

__all__ = ["find_forgets", "rewrite"]

_NAMED: Final = 1_000
"""So many users and items are looked for by name, so that Spark alone passes over most rows, and Parquet over more."""
_FEW: Final = 100_000
"""Keys that every task may hold; rows are brought to more of them."""
_PATHS: Final = pa.schema([pa.field("path", pa.string(), nullable=False)])


def find_forgets(
    spark: SparkSession,
    told: Sequence[str],
    keyed: Sequence[str],
    starts: Mapping[int, tuple[int, int]],
    fold: FoldSettings,
) -> pa.Table:
    """Return the forgets that count; see `Engine.find_forgets`.

    A forget repeats nothing where no other row has its user and key: that is seen without bringing rows into order.
    Only where one has, rows with keys are brought together by partition, as they are for all repeats.
    """
    found = read_rows(spark, told).where((F.col("user") == "") | (F.col("item") == ""))
    keys = found.where(F.length("id") > 0).select("partition", "user", "id").distinct()
    with ExitStack() as kept:
        if fold.dedupes and (asked := keys.count()):
            rows = _from(read_rows(spark, keyed), starts)
            both = shared(rows, F.broadcast(keys) if asked <= _FEW else keys).persist()
            kept.callback(both.unpersist)
            if not both.isEmpty():
                clocks = {partition: clock for partition, (_, clock) in starts.items()}
                found = without(found, repeats_of(rows, fold, clocks, F.broadcast(both) if asked <= _FEW else both))
        newest = found.groupBy("partition", "user", "item").agg(F.max("offset").alias("offset"))
        return newest.select(*Forgets.COLUMNS).toArrow()


def rewrite(spark: SparkSession, files: Mapping[str, int], told: pa.Table, into: str, fold: FoldSettings) -> Rewritten:
    """Write what is left of files; see `Engine.rewrite`."""
    forgets = Forgets(keeps_keys=fold.dedupes)
    forgets.add(told)
    uris = {place(uri): uri for uri in files}
    rows = _named(read_rows(spark, list(files)), forgets).select(*Forgets.READ, F.col(PATH).alias("path"))
    hit = rows.mapInArrow(partial(_hits, forgets=forgets), from_arrow_schema(_PATHS)).distinct().toArrow()
    paths = sorted(map(str, hit.column("path").to_pylist()))
    if not paths:
        return Rewritten()
    replaced = [uris[place(path)] for path in paths]
    numbers = {place(uri): files[uri] for uri in replaced}
    read, written = Observation(), Observation()
    whole = read_rows(spark, replaced).select("*", F.col(PATH).alias("path")).observe(read, _count())
    left = whole.mapInArrow(partial(_left, forgets=forgets, numbers=numbers), from_arrow_schema(GROUPED))
    write_days(left.observe(written, _count()), into, within=["group"])
    return Rewritten(replaced, int(read.get["rows"]), int(written.get["rows"]))


def _hits(batches: Iterable[pa.RecordBatch], *, forgets: Forgets) -> Iterator[pa.RecordBatch]:
    """The task: the files of rows that were forgotten."""
    for batch in batches:
        gone = pa.array(forgets.due(pa.Table.from_batches([batch])))
        paths = pc.unique(batch.column("path").filter(gone))
        if len(paths):
            yield pa.RecordBatch.from_arrays([paths], schema=_PATHS)


def _left(
    batches: Iterable[pa.RecordBatch], *, forgets: Forgets, numbers: Mapping[str, int]
) -> Iterator[pa.RecordBatch]:
    """The task: the rows that are left, with the number of their file's group."""
    for batch in batches:
        rows = grouped(batch, numbers)
        left = forgets.rewritten(rows)
        yield from (rows if left is None else left).cast(GROUPED).to_batches()


def _named(rows: DataFrame, forgets: Forgets) -> DataFrame:
    """The rows of these users and items, whatever their partition and offset, as far as that is worth naming them."""
    named = [("user", forgets.users), ("item", forgets.items)]
    if sum(len(ids) for _, ids in named) > _NAMED:
        return rows
    told = [F.col(name).isin(ids) for name, ids in named if ids]
    return rows.where(told[0] | told[1] if len(told) == 2 else told[0])


def _from(rows: DataFrame, starts: Mapping[int, tuple[int, int]]) -> DataFrame:
    """All rows of partitions that are not among these, and of these from the offset on."""
    before = [f"(partition = {partition} AND offset < {offset})" for partition, (offset, _) in sorted(starts.items())]
    return rows.where(f"NOT ({' OR '.join(before)})") if before else rows


def _count() -> Column:
    return F.count(F.lit(1)).alias("rows")
