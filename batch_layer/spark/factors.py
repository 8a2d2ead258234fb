"""The factors as they are published: items in their basis, users solved exactly against them."""

from collections.abc import Iterable, Iterator
from functools import partial

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark import Broadcast
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import from_arrow_schema
from threadpoolctl import threadpool_limits

from batch_layer.spark.training import matrix
from batch_layer.streams import VECTORS_SCHEMA, solve_stream
from oryx_py.numerics.fold_in import Prior
from oryx_py.numerics.gram import eigenbasis, gram
from oryx_py.numerics.objective import Objective

__all__ = ["published_items", "solve_users"]


def published_items(trained: NDArray[np.float32], objective: Objective) -> NDArray[np.float32]:
    """Return the items' factors, float32[items, features], in the basis in which their Gram matrix is diagonal.

    There the prior of every fold-in is diagonal; scores do not change, since the users follow. Explicit feedback has no
    prior to gain from it.
    """
    if objective.feedback == "explicit":
        return trained
    # BLAS adds in an order that depends on its threads, and a generation must not depend on the number of cores.
    with threadpool_limits(limits=1, user_api="blas"):
        return (trained.astype(np.float64) @ eigenbasis(gram(trained))).astype(np.float32)


def solve_users(
    spark: SparkSession, pairs: DataFrame, users: int, items: NDArray[np.float32], objective: Objective
) -> NDArray[np.float32]:
    """Solve every user against the items as published, float32[users, features].

    So folding a user's unchanged history in gives the published vector. Each depends on nothing but its own history.
    """
    factors = spark.sparkContext.broadcast(items)
    with threadpool_limits(limits=1, user_api="blas"):
        gram_of_items = gram(items)
    prior = spark.sparkContext.broadcast(Prior(gram_of_items, len(items)))
    try:
        solved = (
            pairs.repartition("user")
            .sortWithinPartitions("user", "item")
            .mapInArrow(
                partial(_solve, factors=factors, prior=prior, objective=objective), from_arrow_schema(VECTORS_SCHEMA)
            )
            .toArrow()
        )
    finally:
        factors.destroy()
        prior.destroy()
    return matrix(solved, users, items.shape[1])


def _solve(
    batches: Iterable[pa.RecordBatch],
    *,
    factors: "Broadcast[NDArray[np.float32]]",
    prior: "Broadcast[Prior]",
    objective: Objective,
) -> Iterator[pa.RecordBatch]:
    return solve_stream(batches, factors.value, prior.value, objective)
