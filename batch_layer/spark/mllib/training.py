"""MLlib's alternating least squares."""

from pyspark.ml.recommendation import ALS, ALSModel
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 - Spark's own idiom

from batch_layer.recipe import LARGEST, Recipe
from oryx_py.numerics.objective import Objective

__all__ = ["fit"]

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
        seed=recipe.seed,
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
