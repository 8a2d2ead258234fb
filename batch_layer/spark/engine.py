"""The engine on Spark."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import structlog
from pyspark.sql import SparkSession

from batch_layer.engine import Cancelled, Ranges, Trained, Written
from batch_layer.recipe import Recipe
from batch_layer.spark.assemble import train
from batch_layer.spark.failures import translated
from batch_layer.spark.reader import Source, write_rows
from batch_layer.spark.session import open_session

__all__ = ["SparkEngine"]

log = structlog.get_logger("batch")

_ROWS_A_PARTITION = 500_000


class SparkEngine:
    """Does the heavy work in Spark, whose session begins with the first work there is: starting takes ten seconds.

    Args:
        source: where tasks read the input.
        recipe: how to train.
        master: Spark's master URL.
        properties: Spark's own.
        log_file: gets what the JVM prints.
    """

    def __init__(
        self, source: Source, recipe: Recipe, *, master: str, properties: Mapping[str, str], log_file: Path
    ) -> None:
        self._source = source
        self._recipe = recipe
        self._master = master
        self._properties = properties
        self._log_file = log_file
        self._spark: SparkSession | None = None
        self._cancelled = threading.Event()

    def write_rows(self, ranges: Ranges, partitions: int, into: Path) -> Written:
        """Step (a); see the port."""
        with self._working() as spark:
            return write_rows(spark, self._source, ranges, partitions, into)

    def train(self, files: Sequence[Path], rows: int) -> Trained | None:
        """Step (c); see the port."""
        with self._working() as spark:
            self._spread(spark, rows)
            return train(spark, files, self._recipe)

    def cancel(self) -> None:
        """End what is being done now, and whatever would come."""
        self._cancelled.set()
        if self._spark is not None:
            self._spark.sparkContext.cancelAllJobs()

    def close(self) -> None:
        """Stop Spark."""
        if self._spark is not None:
            self._spark.stop()
            self._spark = None

    def _spread(self, spark: SparkSession, rows: int) -> None:
        """As many partitions after a shuffle as the rows are worth, and enough for every core; adaptive from there."""
        if "spark.sql.shuffle.partitions" not in self._properties:
            partitions = max(spark.sparkContext.defaultParallelism, -(-rows // _ROWS_A_PARTITION))
            spark.conf.set("spark.sql.shuffle.partitions", str(partitions))

    @contextmanager
    def _working(self) -> Iterator[SparkSession]:
        if self._cancelled.is_set():
            raise Cancelled
        if self._spark is None:
            log.info("spark_starting", master=self._master)
            self._spark = open_session(self._master, self._properties, self._log_file)
        try:
            with translated():
                yield self._spark
        except Exception as failure:
            if self._cancelled.is_set():
                raise Cancelled from failure
            raise
