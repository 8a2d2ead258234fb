"""The rows that the fold reads, and their order."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 - Spark's own idiom

__all__ = ["sorted_rows", "told_rows"]


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
