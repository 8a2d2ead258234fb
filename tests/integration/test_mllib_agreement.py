"""Our objectives are MLlib's: Spark's own user factors are folds of the users' histories into its item factors."""

from typing import Any

import numpy as np
import pytest
from pyspark.ml.recommendation import ALS
from pyspark.sql import SparkSession

from oryx_py.numerics.fold_in.batched import fold_in_many
from oryx_py.numerics.fold_in.dense import Prior
from oryx_py.numerics.gram import gram
from oryx_py.numerics.objective import Objective
from tests.support.ridge import relative_error

pytestmark = [pytest.mark.spark, pytest.mark.xdist_group("spark")]

USERS, ITEMS, RANK, EACH = 30, 40, 6, 8


@pytest.mark.parametrize(
    ("parameters", "objective"),
    [
        ({"implicitPrefs": True, "alpha": 2.0}, Objective.mllib_implicit(0.05, 2.0)),
        ({"implicitPrefs": False}, Objective.mllib_explicit(0.05)),
    ],
)
def test_sparks_user_factors_are_fold_ins(
    spark: SparkSession, parameters: dict[str, Any], objective: Objective
) -> None:
    """MLlib solves the users last, each exactly against the final items; negative and zero strengths are among them."""
    rng = np.random.default_rng(0)
    indices = np.concatenate([rng.choice(ITEMS, EACH, replace=False) for _ in range(USERS)])
    strengths = rng.integers(-3, 6, len(indices)).astype(np.float64)
    users = np.repeat(np.arange(USERS), EACH)
    rows = [(int(u), int(i), float(s)) for u, i, s in zip(users, indices, strengths, strict=True)]
    als = ALS(rank=RANK, maxIter=3, regParam=0.05, seed=1, userCol="u", itemCol="i", ratingCol="s", **parameters)
    model = als.fit(spark.createDataFrame(rows, "u int, i int, s float"))
    theirs = {row.id: np.array(row.features) for row in model.userFactors.collect()}
    items = {row.id: row.features for row in model.itemFactors.collect()}
    factors = np.array([items.get(i, [0.0] * RANK) for i in range(ITEMS)], dtype=np.float32)
    ours = fold_in_many(
        np.arange(USERS + 1) * EACH, indices, strengths, factors, Prior(gram(factors), len(items)), objective
    )
    assert len(theirs) == USERS
    assert max(relative_error(ours[user], x) for user, x in theirs.items()) <= 1e-5
