"""MLlib's trainer from a generation's histories to its factors."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from pyspark.sql import SparkSession

from batch_layer.engine import Cancelled
from batch_layer.recipe import Recipe
from batch_layer.spark.fitting import Fitted, publish_items, solve_users
from batch_layer.spark.mllib.pairs import read_pairs, write_factors
from batch_layer.spark.mllib.training import fit
from batch_layer.spark.preparing import Prepared
from batch_layer.spark.session.tasks import OnSpark
from batch_layer.telemetry.progress import OnProgress, Progress, unheard
from batch_layer.telemetry.stopwatch import Stopwatch
from oryx_py.model.files import map_array

__all__ = ["fit_mllib"]


def fit_mllib(
    spark: SparkSession,
    into: Path,
    work: Path,
    prepared: Prepared,
    recipe: Recipe,
    *,
    parent: Path | None = None,  # noqa: ARG001 - MLlib begins at random
    cancelled: Callable[[], bool] = lambda: False,
    on_progress: OnProgress = unheard,
) -> Fitted:
    """Write ``{users,items}.npy`` and ``{users,items}.gram.npy`` beside the prepared files; it knows no warm start.

    Raises:
        Cancelled: somebody asked for it.
    """
    timed, trained = Stopwatch(), work / "items.trained.npy"
    on_progress(Progress(step="train"))
    with timed("train"):
        model = fit(read_pairs(spark, into, prepared.pairs), prepared.pairs, recipe)
        write_factors(model.itemFactors, trained, prepared.items, recipe.features)
    if cancelled():
        raise Cancelled
    on_progress(Progress(step="solve", of=prepared.users))
    with timed("solve"):
        found = map_array(trained, np.float32, (prepared.items, recipe.features))
        timed.wrote("solve", publish_items(found, into, recipe.objective))
        timed.wrote("solve", solve_users(OnSpark(spark), into, recipe.objective, cancelled))
    return Fitted(objective=recipe.objective, epochs=recipe.iterations, seconds=timed.seconds, bytes=timed.bytes)
