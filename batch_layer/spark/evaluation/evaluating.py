"""One evaluation by time: train without the newest interactions, and look for them in what is recommended."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import structlog
from pyspark.sql import DataFrame, SparkSession
from threadpoolctl import threadpool_limits

from batch_layer.engine import Cancelled
from batch_layer.evaluation.ranking import Targets, most_users, new_to_their_users, of_rankings, rank
from batch_layer.evaluation.rating import of_ratings
from batch_layer.host.cores import cores
from batch_layer.recipe import Recipe
from batch_layer.spark.evaluation.targets import Found, find_targets
from batch_layer.spark.evaluation.time_split import cut_of, time_of_row
from batch_layer.spark.fitting import Fitted
from batch_layer.spark.preparing import Prepared, prepare
from batch_layer.spark.rows.weighing import weigh_rows
from batch_layer.spark.session.tasks import Hands, InThreads, OnSpark
from batch_layer.task_files.exchange import Exchange
from batch_layer.telemetry.progress import OnProgress, Progress, unheard
from batch_layer.telemetry.stopwatch import Stopwatch
from oryx_py.model.generations.history_files import map_histories

__all__ = ["Evaluated", "Fit", "evaluate"]

log = structlog.get_logger("batch")

Fit = Callable[..., Fitted]
"""`fit_generation`, or that of another trainer."""

_TASKS = 4
"""For each core."""


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A model that was trained without the newest interactions: where it is, how good, and in how many sweeps."""

    directory: Path
    epochs: int
    metrics: dict[str, Any]
    seconds: float

    def going_on(self, recipe: Recipe) -> Recipe:
        """Return the recipe for training on everything from there.

        Warm, and a third of the sweeps at most: more than there were in all would be too many where data are sparse.
        """
        if recipe.trainer == "mllib":  # it always begins anew
            return recipe
        sweeps = max(1, -(-self.epochs // 3))
        return msgspec.structs.replace(recipe, warm_start=True, iterations=sweeps, patience=0)


def evaluate(
    spark: SparkSession,
    rows: DataFrame,
    recipe: Recipe,
    work: Path,
    fit: Fit,
    *,
    exchange: Exchange | None = None,
    parts: int,
    cancelled: Callable[[], bool] = lambda: False,
    on_progress: OnProgress = unheard,
) -> Evaluated | None:
    """Train on the rows before the newest `recipe.test_fraction`, and say how good that is for these.

    None where the rows cannot be cut so, or nothing is left to train on. The training begins cold: the last generation
    has seen what is asked for. Ages are reckoned to the cut, as if the generation had been made then.

    Args:
        spark: whose tasks see the directory, but with an exchange.
        rows: those that count, in the columns of `HISTORY_SCHEMA`, strengths as they came.
        recipe: how to train.
        work: a directory that does not exist yet; keeps the model.
        fit: the trainer's.
        exchange: see `prepare`.
        parts: of the folds.
        cancelled: asked again and again.
        on_progress: told at each step.

    Raises:
        Cancelled: somebody asked for it.
    """
    timed = Stopwatch()
    with timed("evaluate"):
        on_progress(Progress(step="evaluate"))
        cut_ms = cut_of(rows, recipe.test_fraction)
        if cut_ms is None:
            hint = "imported rows without a timestamp are all of the moment when they were imported"
            log.warning("not_evaluated", reason="the times of the rows do not divide them so", hint=hint)
            return None
        into, scratch = work / "model", work / "scratch"
        into.mkdir(parents=True)
        scratch.mkdir()
        before = weigh_rows(rows.where(time_of_row() < cut_ms), recipe.fold, cut_ms)
        prepared: Prepared | None = prepare(
            spark,
            before,
            recipe.fold,
            into,
            scratch,
            parts=parts,
            exchange=exchange,
            cancelled=cancelled,
            on_progress=on_progress,
        )
        if prepared is None:
            return None
        fitted = fit(spark, into, scratch, prepared, recipe, parent=None, cancelled=cancelled, on_progress=on_progress)
        on_progress(Progress(step="evaluate"))
        if cancelled():
            raise Cancelled
        since = weigh_rows(rows.where(time_of_row() >= cut_ms), recipe.fold, cut_ms)
        found = find_targets(since, recipe.fold, into, most=most_users(prepared.items), parts=parts)
        hands = OnSpark(spark) if exchange is None else InThreads(cores())
        figures = _figures(hands, found.targets, into, recipe)
    metrics = {"protocol": _protocol(recipe), "cut_ms": cut_ms, "epochs": fitted.epochs, **_counts(found), **figures}
    log.info("evaluated", users=found.users, asked=found.asked, **figures)
    return Evaluated(into, fitted.epochs, metrics, timed.seconds["evaluate"])


def _figures(hands: Hands, targets: Targets, directory: Path, recipe: Recipe) -> dict[str, Any]:
    if recipe.fold.feedback == "explicit":
        return {"evaluated": len(targets.items), **of_ratings(targets, directory)}
    targets = new_to_their_users(targets, map_histories(directory, "users"))
    edges = np.linspace(0, len(targets), min(len(targets), _TASKS * hands.at_once) + 1)
    ends = edges.astype(np.int64).tolist()
    groups = [targets.part(first, last) for first, last in pairwise(ends)]
    # Around all: who of several threads is done first would give BLAS its own threads back while others work.
    with threadpool_limits(limits=1, user_api="blas"):
        ranked = hands(partial(_rank, directory=directory), groups)
    return {"evaluated": len(targets), **(of_rankings(np.concatenate(ranked)) if ranked else {})}


def _rank(targets: Targets, *, directory: Path) -> Any:
    """The task."""
    with threadpool_limits(limits=1, user_api="blas"):
        return rank(targets, directory)


def _counts(found: Found) -> dict[str, int]:
    return {"users": found.users, "asked": found.asked, "pairs": found.pairs, "unknown_pairs": found.unknown}


def _protocol(recipe: Recipe) -> str:
    split = (
        f"temporal: trained cold without the newest {recipe.test_fraction:g} of the interactions; of the `users` with "
        "one of these, `asked` were sampled by hash; their `unknown_pairs`, of users or items that only came then, are "
        "left out"
    )
    if recipe.fold.feedback == "explicit":
        return f"{split}; RMSE over the `evaluated` last ratings, beside that of each item's mean before"
    return (
        f"{split}; targets are items new to their users, all items are ranked but those known before, means over the "
        "`evaluated` users; recall over min(k, targets), nDCG binary with a truncated ideal"
    )
