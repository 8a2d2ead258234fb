"""The fold of the whole history, and its pairs by rows of a generation."""

from functools import partial
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own idiom
from pyspark.sql.pandas.types import from_arrow_schema

from batch_layer.streams import PAIRS_SCHEMA, fold_stream
from oryx_py.events.fold import FoldSettings

__all__ = ["Ids", "fold_rows", "ids_of", "number", "sorted_rows", "told_rows"]


Ids: TypeAlias = "pa.Array[Any]"
"""Distinct strings in bytewise order: row numbers are positions."""


def fold_rows(rows: DataFrame, settings: FoldSettings) -> DataFrame:
    """Return the pairs that the history comes to: columns user, item, strength, each pair once.

    A pair's rows are folded in one task in the order of their offsets, so that the sums do not depend on how the rows
    were spread. Forgets count by partition and offset: an item's drops that partition's earlier rows of the item here,
    a user's drops the user's earlier rows in the stream.
    """
    forgets = (
        rows.where((F.col("user") == "") & F.col("strength").isNull())
        .groupBy("partition", "item")
        .agg(F.max("offset").alias("forgotten_up_to"))
    )
    told = rows.where(F.col("user") != "").select("user", "item", "partition", "offset", "strength")
    left = told.join(F.broadcast(forgets), ["partition", "item"], "left").where(
        F.col("forgotten_up_to").isNull() | (F.col("offset") > F.col("forgotten_up_to"))
    )
    return (
        left.select("user", "item", "partition", "offset", "strength")
        .repartition("user")
        .sortWithinPartitions("user", "item", "partition", "offset")
        .mapInArrow(partial(fold_stream, settings=settings), from_arrow_schema(PAIRS_SCHEMA))
    )


def told_rows(rows: DataFrame) -> DataFrame:
    """Return what there is to fold: columns user, item, partition, offset, strength; the forgets of items applied.

    Forgets count by partition and offset: an item's drops that partition's earlier rows of the item here, a user's
    drops the user's earlier rows in the stream.
    """
    forgets = (
        rows.where((F.col("user") == "") & F.col("strength").isNull())
        .groupBy("partition", "item")
        .agg(F.max("offset").alias("forgotten_up_to"))
    )
    told = rows.where(F.col("user") != "").select("user", "item", "partition", "offset", "strength")
    return (
        told.join(F.broadcast(forgets), ["partition", "item"], "left")
        .where(F.col("forgotten_up_to").isNull() | (F.col("offset") > F.col("forgotten_up_to")))
        .select("user", "item", "partition", "offset", "strength")
    )


def sorted_rows(told: DataFrame, parts: int) -> DataFrame:
    """Return the rows in ranges of users, each sorted by user, item, partition and offset: the one shuffle there is.

    A pair's rows are in one partition in the order of their offsets, so that its sum does not depend on how the rows
    were spread.
    """
    return told.repartitionByRange(parts, "user").sortWithinPartitions("user", "item", "partition", "offset")


def ids_of(pairs: DataFrame, column: str) -> Ids:
    """Return a column's distinct IDs in bytewise order, which is the order of a generation's rows."""
    found = pairs.select(column).distinct().toArrow().column(0).combine_chunks()
    return found.take(pc.sort_indices(found))


def number(spark: SparkSession, pairs: DataFrame, user_ids: Ids, item_ids: Ids) -> DataFrame:
    """Put row numbers in the place of IDs: columns user and item (int), strength."""
    users, items = _numbers(spark, user_ids, "user"), _numbers(spark, item_ids, "item")
    return (
        pairs.join(F.broadcast(items), "item")
        .join(users, "user")
        .select(F.col("user_row").alias("user"), F.col("item_row").alias("item"), "strength")
    )


def _numbers(spark: SparkSession, ids: Ids, name: str) -> DataFrame:
    rows = pa.array(range(len(ids)), pa.int32())
    return spark.createDataFrame(pa.table({name: ids, f"{name}_row": rows}))
