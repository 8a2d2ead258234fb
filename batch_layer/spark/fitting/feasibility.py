"""What is known to be too large before the history is folded, by its rows and the generation before."""

from pathlib import Path

from pyspark.sql import SparkSession

from batch_layer.history.base_generation import Base
from batch_layer.host.disk_space import Wanted, check_room
from batch_layer.recipe import Recipe
from batch_layer.spark.fitting.choice import is_local, way_of
from batch_layer.spark.preparing import Prepared
from batch_layer.training.job import Job
from oryx_py.errors import CorruptGeneration, UnsupportedFormat
from oryx_py.model.generations.manifest import MANIFEST, Counts, read_manifest
from oryx_py.planning.constants import MEASURED
from oryx_py.planning.sizes import ModelSize

__all__ = ["foresee_disk", "foresee_memory", "foreseen"]


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


def foresee_disk(
    spark: SparkSession, into: Path, work: Path, rows: int, base: Base | None, counts: Counts | None, recipe: Recipe
) -> None:
    """Look for the room that the shuffle, the parts and the artefact take at least, and a model to be evaluated.

    Args:
        spark: which shuffles on this host where it is local; executors' disks are not asked.
        into: the staged directory.
        work: where parts lie.
        rows: of the history.
        base: what is folded on: then only the rows since are shuffled.
        counts: see `foreseen`; None: there is one pair at least.
        recipe: how to train.

    Raises:
        NoRoom: a disk has too little.
    """
    folded = rows if base is None else base.new_rows
    wanted = []
    if is_local(spark):
        spill = Path(str(spark.sparkContext.getConf().get("spark.local.dir", str(work))).split(",")[0])
        if spill.is_dir():
            shuffled = round(folded * MEASURED.shuffle_bytes)
            wanted.append(Wanted(spill, shuffled, f"the shuffle of {folded:,} rows"))
    if counts is not None:
        size = ModelSize(
            users=counts.users,
            items=counts.items,
            interactions=max(rows, counts.pairs),
            pairs=counts.pairs,
            features=recipe.features,
        )
        parts = round(counts.pairs * MEASURED.part_bytes)
        wanted.append(Wanted(work, parts, f"the parts of {counts.pairs:,} pairs"))
        wanted.append(Wanted(into, size.artefact_bytes, "the generation"))
        if recipe.test_fraction:  # it stays until the generation is there, its parts with it
            before = round((1 - recipe.test_fraction) * (parts + size.artefact_bytes))
            wanted.append(Wanted(work, before, "the model to be evaluated"))
    check_room(wanted)
