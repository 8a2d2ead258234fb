"""The rows of the history, as Spark sees them."""

from collections.abc import Sequence
from urllib.parse import unquote

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own idiom
from pyspark.sql.pandas.types import from_arrow_schema

from batch_layer.folding.input_rows import HISTORY_SCHEMA

__all__ = ["newest_timestamp", "read_rows", "spark_path"]


def read_rows(spark: SparkSession, files: Sequence[str]) -> DataFrame:
    """Return the rows of these files, which are URIs, in the columns of `HISTORY_SCHEMA`."""
    schema = from_arrow_schema(HISTORY_SCHEMA)
    return spark.read.schema(schema).parquet(*map(spark_path, files)) if files else spark.createDataFrame([], schema)


def spark_path(uri: str) -> str:
    """Return a place as Spark takes it: with names as they are, where a ``file`` URI has ``%3D`` for ``=``."""
    return unquote(uri) if uri.startswith("file:") else uri


def newest_timestamp(rows: DataFrame) -> int:
    """Return the newest Kafka timestamp, milliseconds; 0 where no row has one."""
    newest = rows.agg(F.max("kafka_ms")).first()
    return max(0, newest[0]) if newest is not None and newest[0] is not None else 0
