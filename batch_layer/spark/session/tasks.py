"""Work by numbers: small values to the tasks, files between them, small values back."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, TypeVar

from pyspark.sql import SparkSession

__all__ = ["Hands", "InThreads", "OnSpark", "on_tasks"]

A = TypeVar("A")
B = TypeVar("B")


class Hands(Protocol):
    """Who does work of each of many, and so many of them at the same time."""

    @property
    def at_once(self) -> int:
        """How many are worked on at the same time."""

    def __call__(self, work: Callable[[A], B], given: Sequence[A]) -> list[B]:
        """Do ``work`` of each, and return the answers in their order; what it writes must be the same every time."""


@dataclass(frozen=True, slots=True)
class OnSpark:
    """Tasks of a session's executors; each costs a job and a worker process, half a second where it is the first."""

    spark: SparkSession

    @property
    def at_once(self) -> int:
        """See `Hands`."""
        return self.spark.sparkContext.defaultParallelism

    def __call__(self, work: Callable[[A], B], given: Sequence[A]) -> list[B]:
        """See `on_tasks`."""
        return on_tasks(self.spark, work, given)


@dataclass(frozen=True, slots=True)
class InThreads:
    """Threads of this process, for work that is over before a task would have begun."""

    threads: int

    @property
    def at_once(self) -> int:
        """See `Hands`."""
        return self.threads

    def __call__(self, work: Callable[[A], B], given: Sequence[A]) -> list[B]:
        """See `Hands`."""
        with ThreadPoolExecutor(self.threads) as pool:
            return list(pool.map(work, given))


def on_tasks(spark: SparkSession, work: Callable[[A], B], given: Sequence[A]) -> list[B]:
    """Do ``work`` of each, a task for each, and return the answers in their order.

    A task may be tried again, or run twice at the same time: what it writes must be the same every time.
    """
    if not given:
        return []
    return spark.sparkContext.parallelize(given, len(given)).map(work).collect()
