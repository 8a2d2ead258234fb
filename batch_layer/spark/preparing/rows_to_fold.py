"""What is read of the history: everything, or what came since the generation that is folded on."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import structlog
from pyspark.sql import SparkSession

from batch_layer.history.base_generation import Base
from batch_layer.recipe import Recipe
from batch_layer.spark.preparing.fold_onto import tasks_see
from batch_layer.spark.rows.counted_rows import Counted, counted_rows, counted_since
from batch_layer.spark.rows.history_rows import read_rows
from oryx_py.events.fold import FoldSettings

__all__ = ["count", "reading", "usable"]

log = structlog.get_logger("batch")


def usable(spark: SparkSession, base: Base | None, recipe: Recipe, *, shared: bool = True) -> Base | None:
    """Return the base, None where an evaluation needs every row, or tasks don't see the base's files.

    ``shared`` says whether they see any of this process's.
    """
    if base is None or recipe.test_fraction:
        return None
    if not shared or not tasks_see(spark, base.path):
        log.info("all_rows_are_read", reason=f"the executors have no {base.path}")
        return None
    return base


def count(spark: SparkSession, files: Sequence[str], base: Base | None, fold: FoldSettings, kept: ExitStack) -> Counted:
    """Return the rows that count: of all files, with a base of those since."""
    if base is None:
        return counted_rows(read_rows(spark, files), fold, kept)
    new, earlier = read_rows(spark, base.new), read_rows(spark, base.window)
    return counted_since(new, earlier, base.manifest, fold, kept)


def reading(rows: int, base: Base | None) -> dict[str, Any]:
    """Return what the manifest says of the reading."""
    return {
        "protocol": "rows that were folded, onto the pairs of the generation named; IDs of the window before apart",
        "rows": rows if base is None else base.new_rows,
        "onto": None if base is None else base.manifest.generation,
    }
