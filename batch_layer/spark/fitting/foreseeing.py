"""What is known to be too large before the history is folded, by the generation before."""

from pathlib import Path

from pyspark.sql import SparkSession

from batch_layer.recipe import Recipe
from batch_layer.spark.fitting.choice import way_of
from batch_layer.spark.preparing import Prepared
from batch_layer.training.job import Job
from oryx_py.errors import CorruptGeneration, UnsupportedFormat
from oryx_py.model.manifest import MANIFEST, Counts, read_manifest

__all__ = ["foresee_memory", "foreseen"]


def foreseen(before: Path | None, rows: int) -> Counts | None:
    """Return the least that a generation of so many rows will have: what the one before has, None where none says.

    Where rows have left the history since, it may have less.
    """
    if before is None:
        return None
    try:
        counts = read_manifest(before / MANIFEST).counts
    except (CorruptGeneration, UnsupportedFormat):
        return None
    return counts if rows >= counts.interactions else None


def foresee_memory(spark: SparkSession, before: Path, counts: Counts, recipe: Recipe, *, shared: bool) -> None:
    """Refuse now what would be refused after hours of folding.

    Args:
        spark: whose hosts are asked for their memory.
        before: the generation before; its histories say what its largest row is.
        counts: see `foreseen`.
        recipe: how to train.
        shared: whether tasks see this process's directories.

    Raises:
        NoRoom, UserError: see `chosen`.
    """
    job = Job(before, before, counts.users, counts.items, recipe)
    way_of(spark, job, Prepared(counts.users, counts.items, counts.pairs), shared=shared, ahead=True)
