"""Our own alternating least squares on a generation's files: train, publish the items, solve the users."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pyspark.sql import SparkSession

from batch_layer.host.disk_space import Wanted, check_room
from batch_layer.recipe import Recipe
from batch_layer.spark.fitting.alone import on_one_task
from batch_layer.spark.fitting.blocks import in_blocks, users_in_blocks
from batch_layer.spark.fitting.choice import Way, hands_for, is_local, way_of
from batch_layer.spark.fitting.fitted import Fitted
from batch_layer.spark.fitting.published_factors import publish_items, solve_users
from batch_layer.spark.fitting.rounds import on_many_tasks
from batch_layer.spark.preparing import Prepared
from batch_layer.task_files.exchange import Exchange
from batch_layer.task_files.folder_exchange import FolderExchange
from batch_layer.telemetry.progress import OnProgress, Progress, unheard
from batch_layer.telemetry.stopwatch import Stopwatch
from batch_layer.training.blocks import SIDES, Sources, cut_sides
from batch_layer.training.item_training import Outcome
from batch_layer.training.job import Job
from oryx_py.model.files import map_array
from oryx_py.model.generations.history_files import history_files
from oryx_py.numerics.als.sizing import needs

__all__ = ["fit_generation"]


def fit_generation(
    spark: SparkSession,
    into: Path,
    work: Path,
    prepared: Prepared,
    recipe: Recipe,
    *,
    parent: Path | None = None,
    exchange: Exchange | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    on_progress: OnProgress = unheard,
) -> Fitted:
    """Write ``{users,items}.npy`` and ``{users,items}.gram.npy`` beside the prepared files.

    ``parent`` has IDs and factors to begin with, where the recipe asks for a warm start. ``exchange`` is where tasks
    leave files to each other; None: they see the two directories.

    Raises:
        Cancelled: somebody asked for it.
        NoRoom: a host has too little memory or disk for now, with the numbers.
        UserError: no host has as much memory at all.
    """
    timed = Stopwatch()
    recipe = recipe.fitted_to(map_array(into / "users.history.strengths.npy", np.float64, (prepared.pairs,)))
    job = Job(into, work, prepared.users, prepared.items, recipe, parent if recipe.warm_start else None)
    way, task_bytes = way_of(spark, job, prepared, shared=exchange is None)
    _check_rooms(job, prepared, small=way == "alone" or exchange is not None)
    on_progress(Progress(step="train", epoch=0, of=recipe.iterations))
    if way == "blocks":
        outcome: Outcome[Any] = _in_blocks(spark, job, task_bytes, exchange, timed, cancelled, on_progress)
    else:
        outcome = _on_maps(spark, job, prepared, way, timed, cancelled, on_progress)
    return Fitted(
        objective=recipe.objective,
        epochs=len(outcome.epochs),
        metrics=_metrics(outcome),
        seconds=timed.seconds,
        bytes=timed.bytes,
    )


def _on_maps(
    spark: SparkSession,
    job: Job,
    prepared: Prepared,
    way: Way,
    timed: Stopwatch,
    cancelled: Callable[[], bool],
    on_progress: OnProgress,
) -> Outcome[Any]:
    """Alone or in rounds: whoever works maps the job's directories."""
    outcome: Outcome[Any]
    one, objective = way == "alone", job.recipe.objective
    hands = hands_for(spark, prepared, job.recipe, one=one)
    with timed("train"):
        if one:
            path = job.work / "items.trained.npy"
            threads = spark.sparkContext.defaultParallelism if is_local(spark) else 0
            outcome = on_one_task(hands, job, path, threads=threads, cancelled=cancelled, on_progress=on_progress)
            items = map_array(path, np.float32, (prepared.items, job.recipe.features))
        else:
            outcome = on_many_tasks(spark, job, cancelled=cancelled, on_progress=on_progress)
            items = outcome.items
    on_progress(Progress(step="solve", rows=0, of=job.users))
    with timed("solve"):
        timed.wrote("solve", publish_items(items, job.into, objective))
        timed.wrote("solve", solve_users(hands, job.into, objective, cancelled))
    return outcome


def _in_blocks(
    spark: SparkSession,
    job: Job,
    task_bytes: int,
    exchange: Exchange | None,
    timed: Stopwatch,
    cancelled: Callable[[], bool],
    on_progress: OnProgress,
) -> Outcome[Any]:
    """In blocks: tasks find histories and factors at the exchange, or in the job's directories where they see these."""
    cuts = cut_sides(job, tasks=spark.sparkContext.defaultParallelism, task_bytes=task_bytes)
    at = Sources(FolderExchange(job.into), FolderExchange(job.work / "blocks"))
    if exchange is not None:
        at = Sources(exchange.below("histories"), exchange.below("blocks"))
        with timed("hand_out"):
            for name in (name for side in SIDES for name in history_files(side)):
                at.histories.upload(job.into / name, name)
                timed.wrote("hand_out", (job.into / name).stat().st_size)
    with timed("train"):
        outcome = in_blocks(spark, job, at=at, cuts=cuts, cancelled=cancelled, on_progress=on_progress)
    on_progress(Progress(step="solve", rows=0, of=job.users))
    with timed("solve"):
        timed.wrote("solve", publish_items(outcome.items, job.into, job.recipe.objective))
        timed.wrote("solve", users_in_blocks(spark, job, at=at, cuts=cuts, cancelled=cancelled))
    return outcome


def _check_rooms(job: Job, prepared: Prepared, *, small: bool) -> None:
    """Look for the room that both sides' factors take: in the generation, and meanwhile in the working directory.

    Raises:
        NoRoom: there is too little.
    """
    features = job.recipe.features
    factors = 4 * features * (prepared.users + prepared.items)
    takes = needs(prepared.users, prepared.items, prepared.pairs, features)
    rows = f"{prepared.users:,} users and {prepared.items:,} items with {features} features"
    left = 2 * factors if small else takes.work_dir
    check_room(
        [
            Wanted(job.into, factors, f"the factors of {rows}"),
            Wanted(job.work, left, f"what training leaves to itself of {rows}"),
        ]
    )


def _metrics(outcome: Outcome[Any]) -> dict[str, Any]:
    """What the manifest says: by epoch the loss, and the validation of the one that was taken."""
    epochs: dict[str, Any] = {
        "protocol": "by epoch: the objective without its constant, when the users were solved; the validation's metric",
        "warm_start": outcome.warm,
        "taken": outcome.best.number,
        "loss": [epoch.loss for epoch in outcome.epochs],
    }
    if outcome.told is None:
        return {"epochs": epochs}
    epochs["validation"] = [None if epoch.score is None else abs(epoch.score) for epoch in outcome.epochs]
    return {"epochs": epochs, "validation": outcome.told}
