"""In Spark: rows lie under the day that is said of their times elsewhere, whatever these are."""

from pathlib import Path

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from batch_layer.folding.input_rows import HISTORY_SCHEMA
from batch_layer.history.file_footers import day_of
from batch_layer.spark.rows.topic_reader import write_days

pytestmark = [pytest.mark.spark, pytest.mark.xdist_group("spark")]

TIMES_MS = [-1, 0, 86_399_999, 86_400_000, 1_785_542_399_999, 1_785_542_400_000, 253_402_300_799_999, 2**63 - 1]


def test_a_time_that_no_calendar_has_stops_nobody(spark: SparkSession, tmp_path: Path) -> None:
    """Where a topic takes its producers' times, one of them may say anything."""
    nothing = {"id": None, "strength": 1.0, "timestamp_ms": None, "kind": None}
    rows = [
        {"partition": 0, "offset": offset, "kafka_ms": ms, "user": "u", "item": "i", **nothing}
        for offset, ms in enumerate(TIMES_MS)
    ]
    into = tmp_path / "rows"
    write_days(spark.createDataFrame(pa.Table.from_pylist(rows, HISTORY_SCHEMA)), into.as_uri())
    found = {path.name for path in into.iterdir() if path.is_dir()}
    assert found == {f"day={day_of(ms)}" for ms in TIMES_MS}
