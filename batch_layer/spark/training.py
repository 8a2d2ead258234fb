"""From the history's rows to a model's files: step (c), in Spark."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from importlib import metadata
from pathlib import Path

from pyspark.sql import SparkSession

from batch_layer.engine import Trained
from batch_layer.history.base_generation import Base
from batch_layer.recipe import Recipe
from batch_layer.spark.evaluation import Fit, evaluate
from batch_layer.spark.fitting import fit_generation, foresee_disk, foresee_memory, foreseen
from batch_layer.spark.mllib.fitting import fit_mllib
from batch_layer.spark.preparing import parts_for, prepare
from batch_layer.spark.preparing.rows_to_fold import count, reading, usable
from batch_layer.spark.session.opening import spread
from batch_layer.task_files.exchange import Exchange
from batch_layer.telemetry.progress import OnProgress, Progress, unheard
from oryx_py.errors import UserError

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
    base: Base | None = None,
    exchange: Exchange | None = None,
    parts: int | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    on_progress: OnProgress = unheard,
) -> Trained | None:
    """Fold these files' rows and train; see `Engine.train`.

    Args:
        spark: whose tasks see both directories, but with an exchange.
        files: of the history, URIs.
        recipe: how.
        into: the staged directory.
        work: an empty directory, of no use afterwards.
        rows: how many the files have.
        parent: the generation to begin from.
        base: the generation whose pairs are folded on; used where tasks see it, and nothing needs all rows.
        exchange: where tasks leave files to each other, and to this process, whose directories they do not see then.
        parts: how many the fold has; by the rows and cores if not given. The result does not depend on it.
        cancelled: asked again and again.
        on_progress: told at each step.

    Raises:
        NoRoom: a host has too little memory for now.
        UserError: MLlib's trainer is to work with an exchange, or no host will have the memory.
    """
    if exchange is not None and recipe.trainer == "mllib":
        raise UserError('batch.trainer = "mllib" needs a batch.work_dir that is a folder which all executors see')
    fit: Fit = fit_mllib if recipe.trainer == "mllib" else fit_generation
    evaluated = None
    parts = parts or parts_for(spark, rows)
    spread(spark, rows)
    if parent is not None and recipe.trainer != "mllib" and (counts := foreseen(parent, rows)):
        foresee_memory(spark, parent, counts, recipe, shared=exchange is None)
    foresee_disk(spark, into, work, rows, base, foreseen(parent, rows), recipe)
    with ExitStack() as kept:
        on_progress(Progress(step="count", of=rows))
        base = usable(spark, base, recipe, shared=exchange is None)
        counted = count(spark, files, base, recipe.fold, kept)
        if recipe.test_fraction:
            evaluated = evaluate(
                spark,
                counted.unweighed,
                recipe,
                work / "evaluation",
                fit if exchange is None else partial(fit_generation, exchange=exchange.below("evaluation")),
                exchange=exchange,
                parts=parts,
                cancelled=cancelled,
                on_progress=on_progress,
            )
        prepared = prepare(
            spark,
            counted.rows,
            recipe.fold,
            into,
            work,
            parts=parts,
            base=base,
            exchange=exchange,
            cancelled=cancelled,
            on_progress=on_progress,
        )
    if prepared is None:
        return None
    if evaluated is not None:
        recipe, parent = evaluated.going_on(recipe), evaluated.directory
    if exchange is not None:
        fit = partial(fit_generation, exchange=exchange)
    fitted = fit(spark, into, work, prepared, recipe, parent=parent, cancelled=cancelled, on_progress=on_progress)
    return Trained(
        objective=fitted.objective,
        as_of_ms=counted.as_of_ms,
        repeats=counted.repeats,
        dedupe_from=counted.dedupe_from,
        metrics={
            **fitted.metrics,
            **({"evaluation": evaluated.metrics} if evaluated else {}),
            "history": reading(rows, base),
        },
        epochs=fitted.epochs,
        seconds={
            **counted.seconds,
            **({"evaluate": evaluated.seconds} if evaluated else {}),
            **prepared.seconds,
            **fitted.seconds,
        },
        bytes={**prepared.bytes, **fitted.bytes},
        versions={name: metadata.version(name) for name in ("pyspark", "pyarrow")},
    )
