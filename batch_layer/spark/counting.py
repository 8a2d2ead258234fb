"""The rows of the history that count, each with what it adds to its pair."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from pyspark import StorageLevel
from pyspark.sql import DataFrame

from batch_layer.spark.history import newest_timestamp
from batch_layer.spark.repeats import repeats_of, window_starts, without
from batch_layer.spark.weighing import weigh_rows
from batch_layer.stopwatch import Stopwatch
from oryx_py.events.fold import FoldSettings

__all__ = ["Counted", "counted_rows"]


@dataclass(frozen=True, slots=True)
class Counted:
    """Rows without those that only repeat others, strengths weighed; the columns are those of `HISTORY_SCHEMA`.

    ``as_of_ms`` is the newest Kafka timestamp of all rows; ``repeats`` were ignored for their ID, and ``dedupe_from``
    is as in the manifest. ``seconds`` by step.
    """

    rows: DataFrame
    as_of_ms: int
    repeats: int
    dedupe_from: Mapping[int, tuple[int, int]]
    seconds: Mapping[str, float]


def counted_rows(rows: DataFrame, fold: FoldSettings, kept: ExitStack) -> Counted:
    """Return what counts of the history's rows; what Spark keeps for it, it keeps until ``kept`` is closed."""
    timed = Stopwatch()
    repeated, dedupe_from = 0, dict[int, tuple[int, int]]()
    with timed("count"):
        as_of_ms = newest_timestamp(rows)
    if fold.dedupes:
        with timed("dedupe"):
            repeats = repeats_of(rows, fold).persist(StorageLevel.MEMORY_AND_DISK)
            kept.callback(repeats.unpersist)
            repeated, dedupe_from = repeats.count(), window_starts(rows, fold)
            rows = without(rows, repeats) if repeated else rows
    return Counted(weigh_rows(rows, fold, as_of_ms), as_of_ms, repeated, dedupe_from, timed.seconds)
