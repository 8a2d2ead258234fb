"""Work by numbers: small values to the tasks, files between them, small values back."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from pyspark.sql import SparkSession

__all__ = ["on_tasks"]

A = TypeVar("A")
B = TypeVar("B")


def on_tasks(spark: SparkSession, work: Callable[[A], B], given: Sequence[A]) -> list[B]:
    """Do ``work`` of each, a task for each, and return the answers in their order.

    A task may be tried again, or run twice at the same time: what it writes must be the same every time.
    """
    if not given:
        return []
    return spark.sparkContext.parallelize(given, len(given)).map(work).collect()
