"""Files of the history in HDFS are merged by Spark, which reads and writes there by itself."""

import uuid
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from batch_layer.folding.input_rows import HISTORY_SCHEMA
from batch_layer.history.folder import HistoryFolder
from batch_layer.housekeeping.file_merging import FileMerger
from batch_layer.housekeeping.row_retention import DAY_MS
from batch_layer.recipe import recipe_of
from batch_layer.spark.engine import SparkEngine
from batch_layer.spark.rows.topic_reader import Source
from batch_layer.task_files.work_folder import WorkFolder
from oryx_py.adapters.clock import SystemClock
from oryx_py.adapters.file_systems.reading import open_reading
from oryx_py.adapters.history_records import HistoryRecords
from oryx_py.adapters.places import Reach, history_log, open_files
from oryx_py.config import Input, Model
from oryx_py.local.hdfs import EmbeddedHdfs
from oryx_py.model.history.commits import History

pytestmark = [pytest.mark.hdfs, pytest.mark.spark, pytest.mark.xdist_group("hdfs")]


def test_two_days_become_two_files_and_are_read_as_before(
    hdfs: EmbeddedHdfs, spark: SparkSession, tmp_path: Path
) -> None:
    uri, reach = f"hdfs://{hdfs.namenode.address}/tests/{uuid.uuid4()}", Reach(webhdfs_url=hdfs.namenode.webhdfs_url)
    log, files = history_log(uri, reach), open_files(uri, "history.uri", reach)
    folder, history = HistoryFolder(files), History()
    for number in range(9):
        rows = [row_of(number, 5 * number + n) for n in range(5)]
        pq.write_table(pa.Table.from_pylist(rows, HISTORY_SCHEMA), tmp_path / "rows.parquet")
        folder.put(tmp_path / "rows.parquet", f"data/{number}/day=1970-01-0{number // 4 + 1}/part.parquet")
        span = {0: (5 * number, 5 * number + 5)}
        history = log.append(history, folder.settle(f"data/{number}", 5), span, 0, number)
    past = HistoryRecords(log, "in", lambda path: open_reading(files, path))
    past.offsets()
    told = list(past.records(0, 3, 44))
    nobody: Any = SimpleNamespace(generations=list)
    FileMerger(
        log=log,
        folder=folder,
        engine=SparkEngine(
            Source("in", "", {}),
            recipe_of(Model(), "ials", Input()),
            work=WorkFolder(tmp_path / "work"),
            start=lambda: spark,
            end=lambda _: None,
        ),
        store=nobody,
        clock=SystemClock(),
        rng=np.random.default_rng(),
    )(history)
    merged = log.read()
    assert [(file.since, file.origin, file.rows) for file in merged.files] == [(0, 9, 5), (1, 4, 20), (5, 8, 20)]
    assert list(past.records(0, 3, 44)) == told, "who has not looked since reads the files that went"
    past.offsets()
    assert list(past.records(0, 3, 44)) == told
    assert folder.uncommitted((*merged.files, *merged.replaced)) == []


def row_of(number: int, offset: int) -> dict[str, Any]:
    row = (0, offset, number // 4 * DAY_MS + offset, b"%d" % offset, "é", f"i{offset}", 1.0, None, None)
    return dict(zip(HISTORY_SCHEMA.names, row, strict=True))
