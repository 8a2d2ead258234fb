"""Generations on a real HDFS: history and artefacts there, and its servers killed in the middle."""

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import msgspec
import numpy as np
import pytest
from pyspark.sql import SparkSession

from batch_layer.assembly import work_folder
from batch_layer.engine import Engine, Ranges, Written
from batch_layer.recipe import recipe_of
from batch_layer.run.steps import Outcome, Step
from batch_layer.spark.engine import SparkEngine
from batch_layer.spark.fitting import fit_generation
from batch_layer.spark.preparing import Prepared
from batch_layer.spark.rows.topic_reader import Source, write_rows
from batch_layer.spark.session.failures import translated
from batch_layer.task_files.work_folder import WorkFolder
from oryx_py.adapters.kafka import KafkaConsumer
from oryx_py.adapters.places import open_store, reach_of
from oryx_py.config import Settings
from oryx_py.errors import Transient
from oryx_py.local.broker import EmbeddedBroker
from oryx_py.local.hdfs import EmbeddedHdfs
from oryx_py.messages import ModelRef, decode
from oryx_py.model.generations.generation import Generation
from oryx_py.model.generations.history_files import history_files
from oryx_py.model.ids.id_table import id_files
from oryx_py.ports import EndOfPartition
from tests.support.batch import Crash
from tests.support.crashes import CrashWorld, UploadingEngine, slow_engine, some_values

pytestmark = [pytest.mark.kafka, pytest.mark.hdfs, pytest.mark.spark, pytest.mark.xdist_group("hdfs")]

START_S = 180.0


@pytest.fixture
def new_world(kafka_broker: EmbeddedBroker, hdfs: EmbeddedHdfs, tmp_path: Path) -> Iterator[Callable[..., CrashWorld]]:
    """Makes a world in HDFS, with the engine that it is given."""
    hdfs.start(START_S)

    def make(new_engine: Callable[[Settings], Engine] | None = None) -> CrashWorld:
        name = f"hdfs-{os.getpid()}-{time.time_ns()}"
        place = f"hdfs://{hdfs.namenode.address}/tests/{name}"
        environ = {
            "ORYX__LOCAL__DIR": str(tmp_path / "here"),
            "ORYX__STORE__URI": f"{place}/store",
            "ORYX__HISTORY__URI": f"{place}/history",
            "ORYX__HDFS__WEBHDFS_URL": hdfs.namenode.webhdfs_url,
            "ORYX__HDFS__REPLICATION": "1",
        }
        return CrashWorld(kafka_broker.bootstrap_servers, name, environ, new_engine)

    yield make
    hdfs.start(START_S)


@pytest.fixture
def on_spark(spark: SparkSession) -> Callable[[Settings], Engine]:
    """The engine as the batch layer has it."""

    def engine(settings: Settings) -> Engine:
        source = Source(settings.input.topic, settings.kafka.bootstrap_servers, {})
        recipe = recipe_of(settings.model, settings.batch.trainer, settings.input)
        work = WorkFolder(settings.work_dir)
        return SparkEngine(source, recipe, work=work, start=lambda: spark, end=lambda _: None)

    return engine


def announced(world: CrashWorld) -> list[ModelRef]:
    """What the update topic's first partition says."""
    consumer, found = KafkaConsumer(world.bootstrap, {}), []
    consumer.assign({(world.update, 0): 0})
    while True:
        for event in consumer.poll(1000, 1.0):
            if isinstance(event, EndOfPartition):
                consumer.close()
                return found
            update = decode(event.key, event.value, event.headers)
            assert isinstance(update, ModelRef)
            found.append(update)


def test_spark_writes_history_and_generation_that_others_read(
    new_world: Callable[..., CrashWorld], on_spark: Callable[[Settings], Engine], tmp_path: Path
) -> None:
    """Another host gets the generation by its announced URI, whole."""
    world = new_world(on_spark)
    world.send(*some_values(np.random.default_rng(5), 400))
    assert world.run() is Outcome.PUBLISHED
    world.assert_exactly_once(tmp_path)
    (ref,) = announced(world)
    assert ref.uri.startswith("hdfs://")
    assert Generation.open(open_store(world.settings.store_uri, reach_of(world.settings)).local(ref.uri))
    assert world.run() is Outcome.NOTHING_NEW


def test_tasks_that_meet_in_hdfs_make_the_same_generation(
    new_world: Callable[..., CrashWorld], spark: SparkSession, tmp_path: Path
) -> None:
    """`batch.work_dir` there, from the topic to the epoch; nothing is left of it afterwards."""
    works = []

    def engine(settings: Settings) -> Engine:
        settings = msgspec.structs.replace(
            settings,
            batch=msgspec.structs.replace(settings.batch, work_dir=settings.store.uri.replace("store", "work")),
        )
        works.append(work_folder(settings))
        source = Source(settings.input.topic, settings.kafka.bootstrap_servers, {})
        recipe = recipe_of(settings.model, settings.batch.trainer, settings.input)
        return SparkEngine(source, recipe, work=works[-1], start=lambda: spark, end=lambda _: None)

    world = new_world(engine)
    world.send(*some_values(np.random.default_rng(5), 400))
    assert world.run() is Outcome.PUBLISHED
    world.assert_exactly_once(tmp_path)
    exchange = works[-1].exchange("any")
    assert exchange is not None
    assert works[-1].sweep() == []
    generation, again = world.newest(tmp_path / "cache"), tmp_path / "again"
    (again / "work").mkdir(parents=True)
    for file in (name for side in ("users", "items") for name in (*history_files(side), *id_files(side))):
        shutil.copy(generation.path / file, again / file)
    counts = generation.manifest.counts
    recipe = recipe_of(world.settings.model, world.settings.batch.trainer, world.settings.input)
    fit_generation(spark, again, again / "work", Prepared(counts.users, counts.items, counts.pairs), recipe)
    for name in ("items", "users", "items.gram", "users.gram"):
        there, here = (np.load(place / f"{name}.npy") for place in (generation.path, again))
        assert here.any()
        np.testing.assert_array_equal(there, here, err_msg=name)


def run_again(world: CrashWorld, patience_s: float = 120.0) -> None:
    """Run as the layer does, which tries again: a NameNode that is back lacks its DataNode's blocks for a moment."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            world.run()
        except Transient:
            assert time.monotonic() < deadline
            time.sleep(0.5)
        else:
            return


class SparkWritesRows(UploadingEngine):
    """Rows by Spark, as in the batch layer; training in plain loops, for the sake of the minute that Spark takes."""

    spark: SparkSession

    def write_rows(self, ranges: Ranges, partitions: int, into: str) -> Written:
        source = Source(self.topic, self.settings.kafka.bootstrap_servers, {})
        with translated():
            return write_rows(self.spark, source, ranges, partitions, into)


@pytest.mark.parametrize("victim", ["datanode", "namenode"])
@pytest.mark.parametrize("moment", [Step.RECOVERED, Step.TRAINED], ids=["rows", "generation"])
def test_a_server_killed_in_the_middle_costs_a_repeat_and_nothing_else(
    new_world: Callable[..., CrashWorld],
    spark: SparkSession,
    hdfs: EmbeddedHdfs,
    tmp_path: Path,
    victim: str,
    moment: Step,
) -> None:
    """Killed with -9 while rows, or the generation's files, are written: every record counts once, and one epoch comes
    of it, whether the run was broken off or came through by itself."""

    def engine(settings: Settings) -> Engine:
        slow = slow_engine(settings, SparkWritesRows)
        slow.spark = spark
        return slow

    world, server = new_world(engine), getattr(hdfs, victim)
    world.send(*some_values(np.random.default_rng(7), 400))
    reached, killed = threading.Event(), threading.Event()

    def pause(step: Step) -> None:
        if step is moment:
            reached.set()
            killed.wait(60)

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(world.run, after_step=pause)
        assert reached.wait(180)
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait()
        killed.set()
        time.sleep(0.5)
        assert not server.alive
        hdfs.start(START_S)  # by this thread: the servers live as long as the one that starts them
        with suppress(Transient):
            running.result(120)
    run_again(world)
    world.assert_exactly_once(tmp_path)
    assert [epoch.epoch for epoch in world.registry().epochs] == [1]
    assert world.run() is Outcome.NOTHING_NEW


def test_a_crash_after_each_step_leaves_the_fold_of_the_topic(
    new_world: Callable[..., CrashWorld], tmp_path: Path
) -> None:
    """What every record comes to, and an epoch a run; `tests.bench.crashes` kills processes, twenty times."""
    world, rng = new_world(), np.random.default_rng(20)
    for number, step in enumerate(Step, 1):
        world.send(*some_values(rng, 60))
        with pytest.raises(Crash):
            world.run(crash_after=step)
        world.run()
        assert [epoch.epoch for epoch in world.registry().epochs] == list(range(1, number + 1)), step
    world.assert_exactly_once(tmp_path)
    refs = announced(world)
    assert [ref.epoch for ref in refs] == sorted({ref.epoch for ref in refs})
    store = open_store(world.settings.store_uri, reach_of(world.settings))
    assert store.incomplete() == []
    assert len(store.generations()) == len(Step)
