"""MLlib's alternating least squares: the items' factors."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.ml.recommendation import ALS, ALSModel
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 - Spark's own idiom

from batch_layer.recipe import LARGEST, Recipe
from oryx_py.numerics.objective import Objective

__all__ = ["fit", "item_factors", "matrix"]

_PAIRS_A_BLOCK = 250_000
"""Pairs of a block: a second or so of work. The number of blocks is part of the random start, so that it must follow
from the data alone, never from the number of cores."""


def fit(pairs: DataFrame, count: int, recipe: Recipe) -> ALSModel:
    """Train on pairs by rows (columns user, item, strength); ``count`` is how many there are."""
    blocks = max(2, min(256, -(-count // _PAIRS_A_BLOCK)))
    objective = recipe.objective
    ratings = pairs.select("user", "item", _rating(objective).cast("float").alias("rating"))
    if objective.feedback == "implicit":
        ratings = ratings.where(F.col("rating") != 0)
    als = ALS(
        rank=recipe.features,
        maxIter=recipe.iterations,
        regParam=objective.lambda_,
        implicitPrefs=objective.feedback == "implicit",
        alpha=objective.alpha,
        seed=recipe.seed % 2**63,  # a Java long
        numUserBlocks=blocks,
        numItemBlocks=blocks,
        userCol="user",
        itemCol="item",
        ratingCol="rating",
    )
    return als.fit(ratings)


def _rating(objective: Objective) -> Column:
    """What MLlib takes as a rating: sign(s)·f(s) of implicit feedback, which it weighs by α |rating|; else s."""
    strength = F.least(F.greatest(F.col("strength"), F.lit(-LARGEST)), F.lit(LARGEST))
    if objective.feedback == "explicit" or not objective.log_strength:
        return strength
    return F.signum(strength) * F.log1p(F.abs(strength) / F.lit(objective.epsilon))


def item_factors(model: ALSModel, items: int, features: int) -> NDArray[np.float32]:
    """Return the items' factors by row; 0 for those that MLlib gave none, since they had no pair to train on."""
    return matrix(model.itemFactors.toArrow(), items, features)


def matrix(table: pa.Table, rows: int, features: int) -> NDArray[np.float32]:
    """Return float32[rows, features] from a table of row numbers and lists; rows that it lacks are 0."""
    found = np.zeros((rows, features), np.float32)
    for batch in table.to_batches():
        numbers, vectors = batch.columns
        found[numbers.to_numpy()] = pc.list_flatten(vectors).to_numpy().reshape(-1, features)
    return found
