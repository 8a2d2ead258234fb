"""Training on a real Spark cluster: a master, two workers, and executors that may die."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from pyspark.sql import SparkSession

from batch_layer.recipe import Recipe
from batch_layer.spark.fitting import fit_generation
from batch_layer.spark.preparing import Prepared
from batch_layer.training.blocks import least_task_bytes
from batch_layer.training.job import Job
from oryx_py.local.hdfs import EmbeddedHdfs
from oryx_py.local.ports import choose
from oryx_py.numerics.als.sizing import needs
from tests.conftest import QUICK_JAVA
from tests.support.spark_cluster import SparkCluster, spark_cluster
from tests.support.training import prepared, recipe, tastes

pytestmark = [pytest.mark.spark, pytest.mark.xdist_group("spark"), pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkCluster]:
    ports: list[int] = []
    while len(ports) < 6:
        ports.append(choose((), ports))
    with spark_cluster(tmp_path_factory.mktemp("cluster"), ports) as running:
        yield running


def start_training(
    cluster: SparkCluster, folder: Path, sizes: Prepared, how: Recipe, **more: object
) -> "subprocess.Popen[str]":
    """Start a driver of its own, since a process has one Spark; it stands in ``folder``, where ``here`` is prepared.

    Its directories have relative names: executors stand elsewhere, so that no task finds them by these.
    """
    (folder / "work").mkdir()
    relative = more.pop("relative", False)
    argument = {
        "into": "here" if relative else str(folder / "here"),
        "work": "work" if relative else str(folder / "work"),
        "sizes": [sizes.users, sizes.items, sizes.pairs],
        "recipe": msgspec.to_builtins(how),
        "master": cluster.master,
        "tasks": "auto",
        "task_bytes": 0,
        "properties": {
            "spark.executor.memory": "600m",
            "spark.executor.extraJavaOptions": QUICK_JAVA,
            "spark.executor.cores": "1",
            "spark.cores.max": "2",
            "spark.driver.memory": "512m",
            "spark.driver.host": "localhost",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.executorEnv.PYTHONPATH": str(ROOT),
        },
        **more,
    }
    command = [sys.executable, "-m", "tests.support.training", json.dumps(argument)]
    environ = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def through_a_kill(cluster: SparkCluster, driver: "subprocess.Popen[str]") -> str:
    """Kill an executor after the first epoch, and see the driver through; returns what it said of its way."""
    assert driver.stdout is not None
    killed, said = None, []
    try:
        for line in driver.stdout:
            said.append(line)
            if line.startswith("epoch 1") and killed is None:
                killed = cluster.kill_an_executor()
        _, errors = driver.communicate(timeout=400)
    finally:
        driver.kill()
    assert driver.returncode == 0, errors[-2000:]
    assert killed is not None
    return "".join(said) + errors


def assert_same(one: Path, other: Path) -> None:
    """Both have the same factors and Gram matrices."""
    for name in ("items", "users", "items.gram", "users.gram"):
        there, here = (np.load(place / f"{name}.npy") for place in (one, other))
        assert here.any()
        np.testing.assert_array_equal(there, here, err_msg=name)


def test_an_executor_that_is_killed_changes_no_bit(spark: SparkSession, cluster: SparkCluster, tmp_path: Path) -> None:
    """Many tasks on a cluster that loses an executor in the middle, and one task here: the same generation."""
    world, how = tastes(1500, 600, 40_000), recipe(patience=2, iterations=3)
    sizes = prepared(tmp_path / "cluster" / "here", world)
    prepared(tmp_path / "here", world)
    through_a_kill(cluster, start_training(cluster, tmp_path / "cluster", sizes, how))
    (tmp_path / "work-here").mkdir()
    fit_generation(spark, tmp_path / "here", tmp_path / "work-here", sizes, how)
    assert_same(tmp_path / "cluster" / "here", tmp_path / "here")


def test_blocks_are_chosen_by_what_a_task_may_take_and_change_no_bit(
    spark: SparkSession, cluster: SparkCluster, tmp_path: Path
) -> None:
    """A limit below what a side in one piece takes, and above what its largest row does; an executor is killed."""
    world, how = tastes(320_000, 600, 400_000), recipe(patience=2, iterations=3, features=64)
    sizes = prepared(tmp_path / "cluster" / "here", world)
    prepared(tmp_path / "here", world)
    takes = needs(sizes.users, sizes.items, sizes.pairs, how.features)
    job = Job(tmp_path / "here", tmp_path, sizes.users, sizes.items, how)
    limit = least_task_bytes(job) + (1 << 20)
    assert 2 * limit < takes.each_host + 2 * takes.each_task  # both executors are on this host
    said = through_a_kill(cluster, start_training(cluster, tmp_path / "cluster", sizes, how, task_bytes=limit))
    assert "training_is_in_blocks" in said
    assert (tmp_path / "cluster" / "work" / "blocks").is_dir()
    (tmp_path / "work-here").mkdir()
    fit_generation(spark, tmp_path / "here", tmp_path / "work-here", sizes, how)
    assert_same(tmp_path / "cluster" / "here", tmp_path / "here")


@pytest.mark.hdfs
def test_no_shared_folder_is_needed_where_tasks_meet_in_hdfs(
    spark: SparkSession, cluster: SparkCluster, hdfs: EmbeddedHdfs, tmp_path: Path
) -> None:
    """With held-out users and an executor that is killed; the driver's folders are its own."""
    world, how = tastes(1500, 600, 40_000), recipe(patience=2, iterations=3)
    sizes = prepared(tmp_path / "driver" / "here", world)
    prepared(tmp_path / "here", world)
    place = {
        "uri": f"hdfs://{hdfs.namenode.address}/tests/blocks-{os.getpid()}/run",
        "webhdfs_url": hdfs.namenode.webhdfs_url,
    }
    through_a_kill(cluster, start_training(cluster, tmp_path / "driver", sizes, how, exchange=place, relative=True))
    (tmp_path / "work-here").mkdir()
    fit_generation(spark, tmp_path / "here", tmp_path / "work-here", sizes, how)
    assert_same(tmp_path / "driver" / "here", tmp_path / "here")
