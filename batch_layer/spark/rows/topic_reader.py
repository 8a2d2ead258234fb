"""Reading the input topic in Spark's tasks, by offsets, with the same client and parser as everywhere else.

No connector: the tasks use confluent-kafka, so that one set of client properties serves the whole system, and a read is
a function of the offsets alone.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import pyarrow as pa
from pyspark.sql import Column, DataFrame, Observation, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own idiom
from pyspark.sql.pandas.types import from_arrow_schema

from batch_layer.engine import Ranges, Written
from batch_layer.folding.input_rows import READ_SCHEMA, Slice, read_slices, slice_ranges
from batch_layer.history.file_footers import LAST_MS
from batch_layer.spark.rows.history_rows import spark_path
from oryx_py.adapters.clock import SystemClock
from oryx_py.adapters.kafka import KafkaConsumer

__all__ = ["Source", "write_days", "write_rows"]

_SLICE = 500_000
"""Offsets that one task reads and one file holds: some seconds of work, some tens of megabytes."""
_DAY_MS = 86_400_000
_TASK = 50_000
"""Offsets below which another task costs more than it brings."""


@dataclass(frozen=True, slots=True)
class Source:
    """How a task reaches the input topic; travels with it, credentials and all."""

    topic: str
    bootstrap_servers: str
    client: Mapping[str, str]


def write_rows(spark: SparkSession, source: Source, ranges: Ranges, partitions: int, into: str) -> Written:
    """Write the rows of these offsets as Parquet files; see `Engine.write_rows`."""
    slices = slice_ranges(dict(ranges), _SLICE)
    offsets = sum(part.stop - part.start for part in slices)
    tasks = max(1, min(len(slices), -(-offsets // _TASK)))
    counted = Observation()
    read = read_frame(spark, source, slices, partitions, tasks).observe(
        counted,
        F.count(F.lit(1)).alias("records"),
        F.count(F.when(F.col("rejected"), 1)).alias("rejected"),
    )
    write_days(read.where(~F.col("rejected")).drop("rejected"), into)
    rejected = int(counted.get["rejected"])
    return Written(rows=int(counted.get["records"]) - rejected, rejected=rejected)


def write_days(rows: DataFrame, into: str, within: Sequence[str] = (), most: int = 0) -> None:
    """Write rows as Parquet files into a directory that does not exist yet, a URI.

    Each file has the rows of one day of arrival (UTC), below ``day=2026-07-31/``, so that whole files go when they are
    old; in the order of their offsets, which compresses best. Columns in ``within`` say the directories above. A task
    that has more than ``most`` rows for a file writes several, unless it is 0.
    """
    folders = [*within, "day"]
    days = rows.withColumn("day", _day("kafka_ms")).sortWithinPartitions(*folders, "partition", "offset")
    writer = days.write.option("maxRecordsPerFile", most) if most else days.write
    writer.partitionBy(*folders).parquet(spark_path(into))


def _day(milliseconds: str) -> Column:
    """The day in UTC, whatever the session's time zone, as `batch_layer.history.file_footers.day_of` says it."""
    known = F.least(F.greatest(F.col(milliseconds), F.lit(0)), F.lit(LAST_MS))
    since_1970 = F.floor(known / _DAY_MS).cast("int")
    return F.date_from_unix_date(since_1970).cast("string")


def read_frame(spark: SparkSession, source: Source, slices: Sequence[Slice], partitions: int, tasks: int) -> DataFrame:
    """Return the records of these slices, in the columns of `READ_SCHEMA`."""
    numbers = spark.range(0, len(slices), 1, tasks)
    read = partial(_read, source=source, slices=tuple(slices), partitions=partitions)
    return numbers.mapInArrow(read, from_arrow_schema(READ_SCHEMA))


def _read(
    numbers: Iterable[pa.RecordBatch], *, source: Source, slices: Sequence[Slice], partitions: int
) -> Iterator[pa.RecordBatch]:
    """The task: the slices of these numbers."""
    mine = [slices[number] for batch in numbers for number in batch.column(0).to_numpy().tolist()]
    consumer = KafkaConsumer(source.bootstrap_servers, source.client)
    try:
        yield from read_slices(consumer, source.topic, partitions, mine, clock=SystemClock())
    finally:
        consumer.close()
