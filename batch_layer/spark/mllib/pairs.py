"""The pairs of a generation's histories as Spark sees them, and factors on their way back."""

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import from_arrow_schema

from oryx_py.model.files import create_array, write_span
from oryx_py.model.generations.history_files import map_histories

__all__ = ["read_pairs", "write_factors"]

_PAIRS_A_TASK = 1_000_000
_PAIRS_A_BATCH = 65_536

_PAIRS: list["pa.Field[Any]"] = [
    pa.field("user", pa.int32(), nullable=False),
    pa.field("item", pa.int32(), nullable=False),
    pa.field("strength", pa.float64(), nullable=False),
]
_PAIRS_SCHEMA: Final = pa.schema(_PAIRS)
_WRITTEN: list["pa.Field[Any]"] = [pa.field("bytes", pa.int64(), nullable=False)]
_WRITTEN_SCHEMA: Final = pa.schema(_WRITTEN)


def read_pairs(spark: SparkSession, directory: Path, pairs: int) -> DataFrame:
    """Return the ``pairs`` pairs of the users' histories by rows: columns user and item (int), strength.

    How they are cut follows from their number alone, never from the number of cores.
    """
    tasks = -(-pairs // _PAIRS_A_TASK)
    edges = np.linspace(0, pairs, tasks + 1).astype(np.int64).tolist()
    read = partial(_read, directory=directory, spans=tuple(pairwise(edges)))
    return spark.range(0, tasks, 1, tasks).mapInArrow(read, from_arrow_schema(_PAIRS_SCHEMA))


def write_factors(factors: DataFrame, path: Path, rows: int, features: int) -> None:
    """Write float32[rows, features] from a table of row numbers and lists; rows that it lacks are 0."""
    create_array(path, np.float32, (rows, features))
    in_order = factors.repartitionByRange("id").sortWithinPartitions("id")
    in_order.mapInArrow(partial(_write, path=path, features=features), from_arrow_schema(_WRITTEN_SCHEMA)).collect()


def _read(
    numbers: Iterable[pa.RecordBatch], *, directory: Path, spans: tuple[tuple[int, int], ...]
) -> Iterator[pa.RecordBatch]:
    """The task: the pairs of these spans."""
    histories = map_histories(directory, "users")
    for number in (number for batch in numbers for number in batch.column(0).to_numpy().tolist()):
        start, stop = spans[number]
        for first in range(start, stop, _PAIRS_A_BATCH):
            here = np.arange(first, min(first + _PAIRS_A_BATCH, stop))
            users = (np.searchsorted(histories.indptr, here, side="right") - 1).astype(np.int32)
            columns = [pa.array(users), pa.array(histories.indices[here]), pa.array(histories.strengths[here])]
            yield pa.RecordBatch.from_arrays(columns, schema=_PAIRS_SCHEMA)


def _write(batches: Iterable[pa.RecordBatch], *, path: Path, features: int) -> Iterator[pa.RecordBatch]:
    """The task: rows that ascend, those that follow each other in one go."""
    for batch in batches:
        numbers, vectors = batch.columns
        rows = numbers.to_numpy()
        block = pc.list_flatten(vectors).to_numpy().reshape(-1, features)
        edges = [0, *(np.flatnonzero(np.diff(rows) != 1) + 1).tolist(), len(rows)]
        written = sum(write_span(path, int(rows[start]), block[start:stop]) for start, stop in pairwise(edges) if stop)
        yield pa.RecordBatch.from_pylist([{"bytes": written}], _WRITTEN_SCHEMA)
