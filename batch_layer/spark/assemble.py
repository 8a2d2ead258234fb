"""From the history's rows to a trained model: step (c), in Spark."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib import metadata
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession

from batch_layer.engine import Trained
from batch_layer.recipe import Recipe
from batch_layer.spark.factors import published_items, solve_users
from batch_layer.spark.folding import Ids, fold_rows, ids_of, number
from batch_layer.spark.history import newest_timestamp, read_rows
from batch_layer.spark.repeats import repeats_of, window_starts, without
from batch_layer.spark.training import fit, item_factors
from batch_layer.spark.weighing import weigh_rows
from batch_layer.trainer import fitted_items
from oryx_py.model.csr import Csr
from oryx_py.model.packed_ids import ArrowStrings, PackedIds

__all__ = ["train"]


class _Stopwatch:
    """Seconds by step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds[step] = time.perf_counter() - began


def train(
    spark: SparkSession, files: Sequence[Path], recipe: Recipe, cancelled: Callable[[], bool] = lambda: False
) -> Trained | None:
    """Fold these files' rows and train; see `Engine.train`."""
    timed = _Stopwatch()
    with ExitStack() as kept:
        rows = read_rows(spark, files)
        as_of_ms, repeated, dedupe_from = newest_timestamp(rows), 0, dict[int, tuple[int, int]]()
        if recipe.fold.dedupes:
            with timed("dedupe"):
                repeats = _keep(repeats_of(rows, recipe.fold), kept)
                repeated, dedupe_from = repeats.count(), window_starts(rows, recipe.fold)
                rows = without(rows, repeats) if repeated else rows
        with timed("fold"):
            rows = weigh_rows(rows, recipe.fold, as_of_ms)
            pairs = _keep(fold_rows(rows, recipe.fold), kept)
            user_ids, item_ids = ids_of(pairs, "user"), ids_of(pairs, "item")
        if not len(user_ids):
            return None
        with timed("number"):
            numbered = _keep(number(spark, pairs, user_ids, item_ids), kept)
            histories = _histories(numbered.toArrow(), len(user_ids))
        with timed("als"):
            if recipe.trainer == "mllib":
                trained = item_factors(fit(numbered, histories.pairs, recipe), len(item_ids), recipe.features)
            else:
                trained = fitted_items(histories, len(item_ids), recipe, cancelled=cancelled)
        with timed("solve"):
            items = published_items(trained, recipe.objective)
            users = solve_users(spark, numbered, len(user_ids), items, recipe.objective)
    return Trained(
        user_ids=_packed(user_ids),
        item_ids=_packed(item_ids),
        user_factors=users,
        item_factors=items,
        histories=histories,
        as_of_ms=as_of_ms,
        repeats=repeated,
        dedupe_from=dedupe_from,
        timings_s=timed.seconds,
        versions={name: metadata.version(name) for name in ("pyspark", "pyarrow")},
    )


def _keep(frame: DataFrame, kept: ExitStack) -> DataFrame:
    """Keep what more than one step reads, on the disk where the memory does not hold it, until the end."""
    kept.callback(frame.unpersist)
    return frame.persist(StorageLevel.MEMORY_AND_DISK)


def _histories(pairs: pa.Table, users: int) -> Csr:
    user, item, strength = (pairs.column(name).combine_chunks().to_numpy() for name in ("user", "item", "strength"))
    by_item = np.argsort(item, kind="stable")
    return Csr.from_pairs(user[by_item], item[by_item], strength[by_item], users)


def _packed(ids: Ids) -> PackedIds:
    return PackedIds.of(cast("ArrowStrings", ids))
