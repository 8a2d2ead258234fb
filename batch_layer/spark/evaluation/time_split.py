"""The history's rows by time: what is trained on, and the newest share."""

from typing import cast

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 - Spark's own idiom

from batch_layer.evaluation.time_split import begin, narrowed

__all__ = ["cut_of", "time_of_row"]


def time_of_row() -> Column:
    """A row's time, as `oryx_py.events.time_of` has it."""
    given = F.coalesce("timestamp_ms", "kafka_ms")
    return F.when(F.col("kafka_ms") < 0, given).otherwise(F.least(given, F.col("kafka_ms")))


def cut_of(rows: DataFrame, share: float) -> int | None:
    """Return the smallest time with at most this share of all interactions at or after it.

    None where nothing would be on one of the sides. What has no time is older than everything.

    Args:
        rows: columns of `HISTORY_SCHEMA`; deletes and forgets among them do not count.
        share: above 0, below 1.
    """
    times = rows.where(F.col("strength").isNotNull()).select(time_of_row().alias("time_ms"))
    (oldest, newest, interactions), *_ = times.agg(F.min("time_ms"), F.max("time_ms"), F.count("time_ms")).collect()
    search = begin(oldest, newest, interactions, share) if interactions else None
    while search is not None and search.cut_ms is None:
        bucket = F.expr(f"(time_ms - ({search.start_ms})) div {search.width_ms}")  # whole numbers: no rounding
        inside = times.where((F.col("time_ms") >= search.start_ms) & (F.col("time_ms") < search.stop_ms))
        counts = inside.groupBy(bucket.alias("bucket")).count().toArrow()
        columns = [cast("list[int]", counts.column(name).to_pylist()) for name in ("bucket", "count")]
        search = narrowed(search, dict(zip(*columns, strict=True)))
    return search.cut_ms if search is not None and search.newer else None
