"""The engine on Spark."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow as pa
import structlog
from pyspark.sql import SparkSession

from batch_layer.engine import Cancelled, Ranges, Rewritten, Trained, Written
from batch_layer.history.base_generation import Base
from batch_layer.recipe import Recipe
from batch_layer.spark.rows.file_groups import merge
from batch_layer.spark.rows.forgetting import find_forgets, rewrite
from batch_layer.spark.rows.topic_reader import Source, write_rows
from batch_layer.spark.session.cancellable_start import started
from batch_layer.spark.session.failures import translated
from batch_layer.spark.session.job_progress import tracked
from batch_layer.spark.session.opening import close_session, is_alive
from batch_layer.spark.training import train
from batch_layer.task_files.work_folder import WorkFolder
from batch_layer.telemetry.progress import OnProgress, Progress, unheard
from oryx_py.model.files import storage

__all__ = ["SparkEngine"]

log = structlog.get_logger("batch")


class SparkEngine:
    """Does the heavy work in Spark, whose session begins with the first work there is: starting takes ten seconds.

    Args:
        source: where tasks read the input.
        recipe: how to train.
        work: where a run leaves what is of no use after it; every executor sees it, or what it has beyond.
        start: opens the session; again, where the one before has died.
        end: closes it.
        on_progress: told at each step.
    """

    def __init__(
        self,
        source: Source,
        recipe: Recipe,
        *,
        work: WorkFolder,
        start: Callable[[], SparkSession],
        end: Callable[[SparkSession], None] = close_session,
        on_progress: OnProgress = unheard,
    ) -> None:
        self._source = source
        self._recipe = recipe
        self._work = work
        self._start = start
        self._end = end
        self._on_progress = on_progress
        self._spark: SparkSession | None = None
        self._cancelled = threading.Event()

    def write_rows(self, ranges: Ranges, partitions: int, into: str) -> Written:
        """Step (a); see the port."""
        offsets = sum(stop - start for start, stop in ranges.values())
        with self._working() as spark, tracked(spark, "read", offsets, self._on_progress):
            return write_rows(spark, self._source, ranges, partitions, into)

    def find_forgets(
        self, told: Sequence[str], keyed: Sequence[str], starts: Mapping[int, tuple[int, int]]
    ) -> pa.Table:
        """See the port."""
        self._on_progress(Progress(step="forget"))
        with self._working() as spark:
            return find_forgets(spark, told, keyed, starts, self._recipe.fold)

    def rewrite(self, files: Mapping[str, int], forgets: pa.Table, into: str) -> Rewritten:
        """See the port."""
        with self._working() as spark:
            return rewrite(spark, files, forgets, into, self._recipe.fold)

    def merge(self, files: Mapping[str, int], rows: int, into: str, most: int) -> None:
        """See the port."""
        self._on_progress(Progress(step="merge", rows=0, of=rows))
        with self._working() as spark, tracked(spark, "merge", rows, self._on_progress):
            merge(spark, files, into, most)

    def train(
        self, files: Sequence[str], rows: int, into: Path, parent: Path | None, base: Base | None = None
    ) -> Trained | None:
        """Step (c); see the port."""
        with self._working() as spark, self._work.lent(into.name) as work:
            return train(
                spark,
                files,
                self._recipe,
                into,
                work,
                rows=rows,
                parent=parent,
                base=base,
                exchange=self._work.exchange(into.name),
                cancelled=self._cancelled.is_set,
                on_progress=self._on_progress,
            )

    def sweep(self) -> None:
        """See the port."""
        for name in self._work.sweep():
            log.info("work_swept", directory=name)

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
            self._spark = started(self._start, self._cancelled)
        try:
            # What this process writes itself may find a full disk too; a lost connection is Spark's matter.
            with storage(self._work.root), translated():
                yield self._spark
        except Exception as failure:
            if self._cancelled.is_set():
                raise Cancelled from failure
            if not is_alive(self._spark):
                log.warning("spark_has_died")
                self.close()
            raise
