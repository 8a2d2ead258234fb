"""From the history's rows to a model's files: step (c), in Spark."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from importlib import metadata
from pathlib import Path

from pyspark.sql import SparkSession

from batch_layer.engine import Trained
from batch_layer.progress import OnProgress, Progress, unheard
from batch_layer.recipe import Recipe
from batch_layer.spark.counting import counted_rows
from batch_layer.spark.fitting import fit_generation
from batch_layer.spark.history import read_rows
from batch_layer.spark.mllib import fit_mllib
from batch_layer.spark.preparing import parts_for, prepare

__all__ = ["train"]


def train(
    spark: SparkSession,
    files: Sequence[str],
    recipe: Recipe,
    into: Path,
    work: Path,
    *,
    rows: int,
    parent: Path | None = None,
    parts: int | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    on_progress: OnProgress = unheard,
) -> Trained | None:
    """Fold these files' rows and train; see `Engine.train`.

    Args:
        spark: whose tasks see both directories.
        files: of the history, URIs.
        recipe: how.
        into: the staged directory.
        work: an empty directory, of no use afterwards.
        rows: how many the files have.
        parent: the generation to begin from.
        parts: how many the fold has; by the rows and cores if not given. The result does not depend on it.
        cancelled: asked again and again.
        on_progress: told at each step.
    """
    with ExitStack() as kept:
        on_progress(Progress(step="count", of=rows))
        counted = counted_rows(read_rows(spark, files), recipe.fold, kept)
        prepared = prepare(
            spark,
            counted.rows,
            recipe.fold,
            into,
            work,
            parts=parts or parts_for(spark, rows),
            cancelled=cancelled,
            on_progress=on_progress,
        )
    if prepared is None:
        return None
    fit = fit_mllib if recipe.trainer == "mllib" else fit_generation
    fitted = fit(spark, into, work, prepared, recipe, parent=parent, cancelled=cancelled, on_progress=on_progress)
    return Trained(
        objective=fitted.objective,
        as_of_ms=counted.as_of_ms,
        repeats=counted.repeats,
        dedupe_from=counted.dedupe_from,
        metrics=fitted.metrics,
        epochs=fitted.epochs,
        seconds={**counted.seconds, **prepared.seconds, **fitted.seconds},
        bytes={**prepared.bytes, **fitted.bytes},
        versions={name: metadata.version(name) for name in ("pyspark", "pyarrow")},
    )
