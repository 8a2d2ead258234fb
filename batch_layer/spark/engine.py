"""The engine on Spark."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import structlog
from pyspark.sql import SparkSession

from batch_layer.engine import Cancelled, Ranges, Trained, Written
from batch_layer.recipe import Recipe
from batch_layer.spark.assemble import train
from batch_layer.spark.failures import translated
from batch_layer.spark.reader import Source, write_rows
from batch_layer.spark.session import close_session, is_alive

__all__ = ["SparkEngine"]

log = structlog.get_logger("batch")

_ROWS_A_PARTITION = 500_000


class SparkEngine:
    """Does the heavy work in Spark, whose session begins with the first work there is: starting takes ten seconds.

    Args:
        source: where tasks read the input.
        recipe: how to train.
        start: opens the session; again, where the one before has died.
        end: closes it.
    """

    def __init__(
        self,
        source: Source,
        recipe: Recipe,
        *,
        start: Callable[[], SparkSession],
        end: Callable[[SparkSession], None] = close_session,
    ) -> None:
        self._source = source
        self._recipe = recipe
        self._start = start
        self._end = end
        self._spark: SparkSession | None = None
        self._cancelled = threading.Event()

    def write_rows(self, ranges: Ranges, partitions: int, into: Path) -> Written:
        """Step (a); see the port."""
        with self._working() as spark:
            return write_rows(spark, self._source, ranges, partitions, into)

    def train(self, files: Sequence[Path], rows: int) -> Trained | None:
        """Step (c); see the port."""
        with self._working() as spark:
            _spread(spark, rows)
            return train(spark, files, self._recipe, self._cancelled.is_set)

    def cancel(self) -> None:
        """End what is being done now, and whatever would come."""
        self._cancelled.set()
        spark = self._spark
        if spark is not None:
            with suppress(Exception):  # it is ending by itself
                spark.sparkContext.cancelAllJobs()

    def close(self) -> None:
        """Stop Spark."""
        if self._spark is not None:
            self._end(self._spark)
            self._spark = None

    @contextmanager
    def _working(self) -> Iterator[SparkSession]:
        if self._cancelled.is_set():
            raise Cancelled
        if self._spark is None:
            log.info("spark_starting")
            self._spark = self._start()
        try:
            with translated():
                yield self._spark
        except Exception as failure:
            if self._cancelled.is_set():
                raise Cancelled from failure
            if not is_alive(self._spark):
                log.warning("spark_has_died")
                self.close()
            raise


def _spread(spark: SparkSession, rows: int) -> None:
    """Have as many partitions after a shuffle as the rows are worth, and one a core; a property of the user's wins."""
    if not spark.sparkContext.getConf().contains("spark.sql.shuffle.partitions"):
        partitions = max(spark.sparkContext.defaultParallelism, -(-rows // _ROWS_A_PARTITION))
        spark.conf.set("spark.sql.shuffle.partitions", str(partitions))
