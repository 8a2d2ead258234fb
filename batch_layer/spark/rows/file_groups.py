"""The rows of the history's files, each with the number of its file's group, in Spark's tasks; and groups merged."""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import pyarrow as pa
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own idiom
from pyspark.sql.pandas.types import from_arrow_schema

from batch_layer.folding.input_rows import HISTORY_SCHEMA
from batch_layer.spark.rows.history_rows import read_rows
from batch_layer.spark.rows.topic_reader import write_days

__all__ = ["GROUPED", "PATH", "grouped", "merge", "place"]

PATH: Final = "_metadata.file_path"
"""Where a row's file is, for Spark."""
GROUPED: Final = HISTORY_SCHEMA.append(pa.field("group", pa.int64(), nullable=False))


def merge(spark: SparkSession, files: Mapping[str, int], into: str, most: int) -> None:
    """Write the rows of each group together; see `Engine.merge`. Tasks have whole groups, and sort on their disks."""
    numbers = {place(uri): number for uri, number in files.items()}
    rows = read_rows(spark, list(files)).select("*", F.col(PATH).alias("path"))
    told = rows.mapInArrow(partial(_told, numbers=numbers), from_arrow_schema(GROUPED))
    write_days(told.repartition(len(set(numbers.values())), "group"), into, within=["group"], most=most)


def grouped(batch: pa.RecordBatch, numbers: Mapping[str, int]) -> pa.Table:
    """Return rows of `GROUPED`.

    Args:
        batch: rows with the ``path`` of their file.
        numbers: by `place` of a file its group's.
    """
    paths: Any = batch.column("path").dictionary_encode()
    of = pa.array([numbers[place(path)] for path in paths.dictionary.to_pylist()], pa.int64())
    rows = pa.Table.from_batches([batch.drop_columns(["path"])])
    return rows.append_column("group", of.take(paths.indices))


def place(uri: str) -> str:
    """Return a file's path, which Spark and `Files` write in other ways."""
    return unquote(urlsplit(uri).path)


def _told(batches: Iterable[pa.RecordBatch], *, numbers: Mapping[str, int]) -> Iterator[pa.RecordBatch]:
    """The task: the rows with the numbers of their groups."""
    for batch in batches:
        yield from grouped(batch, numbers).cast(GROUPED).to_batches()
