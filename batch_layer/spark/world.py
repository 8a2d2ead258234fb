"""Worlds of any size, written by Spark's tasks."""

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import from_arrow_schema

from oryx_py.numerics.arrays import DoubleVector
from oryx_py.testing.long_tail import LongTail, Rows, draw_block, starts

__all__ = ["HELD_OUT", "INTERACTIONS", "world_rows", "write_world"]

INTERACTIONS: Final = "interactions"
HELD_OUT: Final = "held-out"

_FILE_ROWS: Final = 4_000_000
"""Of a file, about: 25 MB of Parquet."""
_BATCH_ROWS: Final = 250_000
"""Of a batch that goes to the JVM: 10 MB."""

_COLUMNS: list["pa.Field[Any]"] = [
    pa.field("user", pa.string(), nullable=False),
    pa.field("item", pa.string(), nullable=False),
    pa.field("strength", pa.float64(), nullable=False),
    pa.field("timestamp", pa.int64(), nullable=False),
]
_SCHEMA: Final = pa.schema(_COLUMNS)


def write_world(spark: SparkSession, world: LongTail, out: str, form: Literal["parquet", "csv"]) -> None:
    """Write a world's rows below ``out``, a URI: what to train on into ``interactions``, the rest into ``held-out``.

    Columns are user, item, strength, timestamp (milliseconds since 1970); IDs are ``u`` and ``i`` with a number.
    """
    for name in (INTERACTIONS, HELD_OUT):
        writer = world_rows(spark, world, held_out=name == HELD_OUT).write
        where = f"{out.rstrip('/')}/{name}"
        if form == "parquet":
            writer.parquet(where)
        else:
            writer.csv(where, header=True)


def world_rows(spark: SparkSession, world: LongTail, *, held_out: bool) -> DataFrame:
    """Return the world's rows, or those held out; the same ones whatever the number of tasks."""
    rows = world.interactions if not held_out else min(world.interactions, world.test_users * 100)
    tasks = max(spark.sparkContext.defaultParallelism, -(-rows // _FILE_ROWS))
    blocks = spark.range(0, world.blocks, 1, min(tasks, world.blocks))
    draw = partial(_draw, world=world, edges=starts(world), held_out=held_out)
    return blocks.mapInArrow(draw, from_arrow_schema(_SCHEMA))


def _draw(
    blocks: Iterable[pa.RecordBatch], *, world: LongTail, edges: DoubleVector, held_out: bool
) -> Iterator[pa.RecordBatch]:
    """The task: these blocks."""
    items = _names("i", np.arange(world.items))
    for batch in blocks:
        for block in batch.column(0).to_numpy().tolist():
            rows = draw_block(world, block, edges, test_users_only=held_out)
            kept = rows.where(rows.held == held_out)
            for first in range(0, len(kept), _BATCH_ROWS):
                yield _named(kept.where(slice(first, first + _BATCH_ROWS)), items)


def _named(rows: Rows, items: "pa.Array[Any]") -> pa.RecordBatch:
    users, of = np.unique(rows.users, return_inverse=True)
    columns = [
        _names("u", users).take(of),
        items.take(rows.items),
        pa.array(rows.strengths, pa.float64()),
        pa.array(rows.timestamps_ms),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=_SCHEMA)


def _names(letter: str, numbers: NDArray[np.integer]) -> "pa.Array[Any]":
    named: pa.Array[Any] = pc.binary_join_element_wise(letter, pc.cast(pa.array(numbers), pa.string()), "")
    return named
