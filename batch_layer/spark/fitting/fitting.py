"""Our own alternating least squares on a generation's files."""

from collections.abc import Callable
from pathlib import Path

from pyspark.sql import SparkSession

from batch_layer.progress import OnProgress, Progress, unheard
from batch_layer.recipe import Recipe
from batch_layer.spark.fitting.finishing import publish_items, solve_users
from batch_layer.spark.fitting.fitted import Fitted
from batch_layer.spark.preparing import Prepared
from batch_layer.spark.preparing.transposition import histories_of
from batch_layer.stopwatch import Stopwatch
from batch_layer.trainer import fitted_items

__all__ = ["fit_generation"]


def fit_generation(
    spark: SparkSession,  # noqa: ARG001
    into: Path,
    work: Path,  # noqa: ARG001
    prepared: Prepared,
    recipe: Recipe,
    *,
    parent: Path | None = None,  # noqa: ARG001
    cancelled: Callable[[], bool] = lambda: False,
    on_progress: OnProgress = unheard,
) -> Fitted:
    """Write ``{users,items}.npy`` and ``{users,items}.gram.npy`` beside the prepared files.

    Raises:
        Cancelled: somebody asked for it.
    """
    timed = Stopwatch()
    on_progress(Progress(step="train", of=recipe.iterations))
    with timed("train"):
        trained = fitted_items(histories_of(into, "users"), prepared.items, recipe, cancelled=cancelled)
    on_progress(Progress(step="solve", of=prepared.users))
    with timed("solve"):
        timed.wrote("solve", publish_items(trained, into, recipe.objective))
        timed.wrote("solve", solve_users(into, recipe.objective, cancelled))
    return Fitted(objective=recipe.objective, epochs=recipe.iterations, seconds=timed.seconds, bytes=timed.bytes)
