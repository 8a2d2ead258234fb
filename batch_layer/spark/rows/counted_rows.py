"""The rows of the history that count, each with what it adds to its pair."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from pyspark import StorageLevel
from pyspark.sql import DataFrame

from batch_layer.spark.rows.dedupe import repeats_of, window_starts, without
from batch_layer.spark.rows.history_rows import newest_timestamp
from batch_layer.spark.rows.weighing import weigh_rows
from batch_layer.telemetry.stopwatch import Stopwatch
from oryx_py.events.fold import FoldSettings
from oryx_py.model.generations.manifest import Manifest

__all__ = ["Counted", "counted_rows", "counted_since"]


@dataclass(frozen=True, slots=True)
class Counted:
    """Rows without those that only repeat others, strengths weighed; the columns are those of `HISTORY_SCHEMA`.

    ``unweighed`` are the same rows as they came.
    ``as_of_ms`` is the newest Kafka timestamp of all rows; ``repeats`` were ignored for their ID, and ``dedupe_from``
    is as in the manifest. ``seconds`` by step.
    """

    rows: DataFrame
    unweighed: DataFrame
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
    return Counted(weigh_rows(rows, fold, as_of_ms), rows, as_of_ms, repeated, dedupe_from, timed.seconds)


def counted_since(new: DataFrame, earlier: DataFrame, base: Manifest, fold: FoldSettings, kept: ExitStack) -> Counted:
    """Return what counts of the rows since a generation: what `counted_rows` says of all rows, as to these.

    ``repeats`` and ``as_of_ms`` are those of all rows. What is kept is kept as there.

    Args:
        new: the history's rows since.
        earlier: rows that the generation has; all with an ID from its ``dedupe_from`` on are among them.
        base: the generation's manifest; it folded by the same settings.
        fold: the settings.
        kept: see `counted_rows`.
    """
    timed = Stopwatch()
    repeated, dedupe_from = 0, dict(base.dedupe_from)
    with timed("count"):
        as_of_ms = max(base.as_of_ms, newest_timestamp(new))
    if fold.dedupes:
        with timed("dedupe"):
            clocks = {partition: clock for partition, (_, clock) in base.dedupe_from.items()}
            both = _from(earlier, {p: offset for p, (offset, _) in base.dedupe_from.items()}).unionByName(new)
            repeats = _from(repeats_of(both, fold, clocks), base.next_offsets).persist(StorageLevel.MEMORY_AND_DISK)
            kept.callback(repeats.unpersist)
            repeated, dedupe_from = repeats.count(), window_starts(both, fold, clocks)
            new = without(new, repeats) if repeated else new
    repeated += base.counts.repeats
    return Counted(weigh_rows(new, fold, as_of_ms), new, as_of_ms, repeated, dedupe_from, timed.seconds)


def _from(rows: DataFrame, offsets: Mapping[int, int]) -> DataFrame:
    """The rows of these partitions from these offsets on."""
    said = [f"(partition = {partition} AND offset >= {offset})" for partition, offset in sorted(offsets.items())]
    return rows.where(" OR ".join(said) or "false")
