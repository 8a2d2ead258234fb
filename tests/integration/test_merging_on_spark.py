"""Spark promises of merged files what the slow engine does; and a history of small files, merged by it."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from batch_layer.folding.input_rows import HISTORY_SCHEMA
from batch_layer.housekeeping.row_retention import DAY_MS
from batch_layer.recipe import recipe_of
from batch_layer.spark.engine import SparkEngine
from batch_layer.spark.rows.topic_reader import Source
from batch_layer.task_files.work_folder import WorkFolder
from oryx_py.adapters.history_records import HistoryRecords
from oryx_py.config import Input, Model
from oryx_py.events import FoldSettings
from tests.support.histories import PARTITIONS, HistoryWorld
from tests.support.merging import MergingContract

pytestmark = [pytest.mark.spark, pytest.mark.xdist_group("spark")]

FOLD = FoldSettings("implicit", dedupe_window_s=0.0)


@pytest.fixture
def engine(spark: SparkSession, tmp_path: Path) -> SparkEngine:
    recipe = recipe_of(Model(), "ials", Input())
    work = WorkFolder(tmp_path / "work")
    return SparkEngine(Source("in", "", {}), recipe, work=work, start=lambda: spark, end=lambda _: None)


class TestMergingOnSpark(MergingContract):
    """In tasks."""


def test_a_history_of_small_files_says_the_same_in_few(engine: SparkEngine, tmp_path: Path) -> None:
    world = HistoryWorld(tmp_path / "a b")
    for number in range(48):
        passed = DAY_MS if number % 16 == 15 else 5
        user, key = ("é", "b")[number % 2], b"%d" % number if number % 3 else None
        forget = [(("", f"i{number}", None), b"forget", 0)] if number == 20 else []
        world.add("input", [((user, f"i{number}", 1.0), key, passed), ((user, "tea", None), None, 1), *forget])
    world.prune(FOLD)
    before, rows = world.log.read(), world.rows()
    said = replayed(world)
    world.merge(engine)
    history = world.log.read()
    assert world.log.commits()[-1].kind == "merge"
    merged = [file for file in history.files if file.since]
    assert [(file.since, file.origin, file.forgets) for file in merged] == [
        (1, 15, False),
        (16, 31, True),
        (32, 47, False),
    ]
    assert len(history.files) == 4 < len(before.files)
    assert (world.rows(), replayed(world)) == (rows, said)
    for file in merged:
        footer = pq.ParquetFile(world.folder / file.path)
        assert footer.schema_arrow.names == HISTORY_SCHEMA.names
        assert footer.metadata.row_group(0).column(0).compression == "ZSTD"
        told = footer.read().to_pylist()
        assert told == sorted(told, key=lambda row: (row["partition"], row["offset"]))
        times = [row["kafka_ms"] for row in told]
        assert (min(times), max(times)) == (file.first_ms, file.last_ms)


def replayed(world: HistoryWorld) -> list[Any]:
    past = HistoryRecords(world.log, "in", lambda path: (world.folder / path).open("rb"))
    ends = past.offsets()
    return [list(past.records(partition, 0, ends[partition])) for partition in range(PARTITIONS)]
