"""What merging the history's files comes to after some months: files and bytes before and after, and the CPU it costs.

A batch layer that runs every five minutes, without its topics and trainings: for each run a commit with a file, as
Spark writes it. Then the days are merged by Spark, the first few one by one, as they are while a system runs, and the
rest as in the first runs of one that has never merged; before and after, all rows are read by Spark once.

    python -m tests.bench.merging --days 90 --rows 200

CPU is that of this process, Spark and its Python workers together.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from batch_layer.folding.input_rows import HISTORY_SCHEMA
from batch_layer.history.file_footers import day_of
from batch_layer.history.folder import HistoryFolder
from batch_layer.housekeeping.file_merging import FileMerger
from batch_layer.housekeeping.merge_planning import SIZES, Sizes, to_merge
from batch_layer.recipe import recipe_of
from batch_layer.spark.engine import SparkEngine
from batch_layer.spark.rows.history_rows import read_rows
from batch_layer.spark.rows.topic_reader import Source
from batch_layer.spark.session.opening import close_session, open_session
from batch_layer.task_files.work_folder import WorkFolder
from oryx_py.adapters.clock import SystemClock
from oryx_py.adapters.commit_logs.commit_log import FileCommitLog
from oryx_py.adapters.commit_logs.history_log import HistoryLog
from oryx_py.adapters.file_systems.local_files import LocalFiles
from oryx_py.adapters.places import history_log
from oryx_py.config import Input, Model
from oryx_py.model.history.commits import HistoryCommit, HistoryFile, encode_commit
from oryx_py.ports import ArtefactStore
from oryx_py.ports.store import CommitLog

PARTITIONS = 4
BEGIN_MS = 1_750_032_000_000
DAY_MS = 86_400_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--interval-s", type=int, default=300)
    parser.add_argument("--rows", type=int, default=200, help="of a run (200)")
    parser.add_argument("--single", type=int, default=5, help="days that are merged one by one (5)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="oryx-merging-") as name:
        folder = Path(name)
        fill(folder, FileCommitLog(LocalFiles(folder), "commits"), given.days, given.interval_s, given.rows)
        log = history_log(str(folder))
        spark = open_session("local[2]", {}, folder / "spark.log")
        try:
            measure(folder, log, spark, given.single)
        finally:
            close_session(spark)


def fill(folder: Path, commits: CommitLog, days: int, interval_s: int, rows: int) -> None:
    """Write what so many days of runs leave, and one run of the day after them."""
    rng, ends = np.random.default_rng(1), [0] * PARTITIONS
    for number in range(days * DAY_MS // (1000 * interval_s) + 1):
        began = BEGIN_MS + number * interval_s * 1000
        table, before = arrived(rng, rows, began, interval_s, ends), list(ends)
        for partition, count in enumerate(np.bincount(table.column("partition").to_numpy(), minlength=PARTITIONS)):
            ends[partition] += int(count)
        path = f"data/{number:08d}/day={day_of(began)}/part-00000.parquet"
        (folder / path).parent.mkdir(parents=True)
        pq.write_table(table, folder / path, compression="zstd")
        last = began + interval_s * 1000 - 1
        size = (folder / path).stat().st_size
        file = HistoryFile(path, rows, size, first_ms=began, last_ms=last, forgets=False)
        spans = {partition: (before[partition], ends[partition]) for partition in range(PARTITIONS)}
        commit = HistoryCommit(number=number + 1, files=(file,), input=spans, rejected=0, time_ms=last)
        commits.append(number + 1, encode_commit(commit))
        if number % 2_000 == 0:
            print(f"{number:,} runs written", file=sys.stderr, flush=True)


def arrived(rng: np.random.Generator, rows: int, began: int, interval_s: int, ends: list[int]) -> pa.Table:
    """Return the rows of one run, by partition and offset: a long tail of users and items, and a key each."""
    users, items = rng.zipf(1.2, rows) % 50_000, rng.zipf(1.2, rows) % 5_000
    partitions = np.sort(users % PARTITIONS).astype(np.int32)
    offsets = np.concatenate([ends[p] + np.arange(np.sum(partitions == p)) for p in range(PARTITIONS)])
    times = began + np.sort(rng.integers(0, interval_s * 1000, rows))
    columns: list[Any] = [
        partitions,
        offsets,
        times,
        [rng.bytes(16) for _ in range(rows)],
        [f"user-{user}" for user in users],
        [f"item-{item}" for item in items],
        np.ones(rows),
        times,
        ["view"] * rows,
    ]
    return pa.table([pa.array(column) for column in columns], HISTORY_SCHEMA.names).cast(HISTORY_SCHEMA)


def measure(folder: Path, log: HistoryLog, spark: SparkSession, single: int) -> None:
    """Merge, and print what there is before and after."""
    engine = SparkEngine(
        Source("in", "", {}),
        recipe_of(Model(), "ials", Input()),
        work=WorkFolder(folder / "work"),
        start=lambda: spark,
        end=lambda _: None,
    )
    jvm = spark.sparkContext._gateway.proc.pid  # type: ignore[union-attr]
    of_a_day = len(to_merge(log.read())[0].files)

    def merge(sizes: Sizes) -> float:
        merger = FileMerger(
            log=log,
            folder=HistoryFolder(LocalFiles(folder)),
            engine=engine,
            store=cast("ArtefactStore", _NoStore()),
            clock=SystemClock(),
            rng=np.random.default_rng(),
            sizes=sizes,
        )
        return spent(jvm, lambda: merger(log.read()))

    def read_all() -> None:
        uris = HistoryFolder(LocalFiles(folder)).uris(log.read().files)
        assert read_rows(spark, uris).where("length(user) > 1").count() == log.read().rows

    read_rows(spark, HistoryFolder(LocalFiles(folder)).uris(log.read().files[:10])).count()
    show(folder, "before")
    print(f"reading all rows: {spent(jvm, read_all):.1f} s of CPU")
    days = [merge(Sizes(files=of_a_day)) for _ in range(single)]
    print(f"a day, {of_a_day} files: {statistics.median(days):.2f} s of CPU (median of {single}; first {days[0]:.2f})")
    rest, runs = 0.0, 0
    while to_merge(log.read()):
        rest, runs = rest + merge(SIZES), runs + 1
    print(f"the rest, in {runs} runs: {rest:.1f} s of CPU")
    show(folder, "after")
    print(f"reading all rows: {spent(jvm, read_all):.1f} s of CPU")
    history = log.read()
    began = time.process_time()
    assert to_merge(history) == []
    print(f"deciding that nothing is due: {1000 * (time.process_time() - began):.1f} ms of CPU")


def show(folder: Path, when: str) -> None:
    """Print what a first look finds, and its own CPU."""
    began = time.process_time()
    history = history_log(str(folder)).read()
    seconds, size = time.process_time() - began, sum(file.bytes for file in history.files)
    print(f"{when}: {len(history.files):,} files, {history.rows:,} rows, {size:,} bytes; {history.number:,} commits")
    print(f"a first look at the commits: {seconds:.2f} s of CPU", flush=True)


class _NoStore:
    """A store without generations."""

    def generations(self) -> list[str]:
        return []


def spent(jvm: int, work: Callable[[], object]) -> float:
    """Return the seconds of CPU that something takes of this process, and of those below the JVM's."""
    before = time.process_time() + sum(map(cpu_s, tree(jvm)))
    work()
    return time.process_time() + sum(map(cpu_s, tree(jvm))) - before


def tree(root: int) -> Iterator[int]:
    yield root
    for path in Path(f"/proc/{root}/task").glob("*/children"):
        for child in path.read_text().split():
            yield from tree(int(child))


def cpu_s(pid: int) -> float:
    """Of a process, and of its children that have ended."""
    told = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, told[11:15])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
