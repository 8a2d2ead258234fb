"""Training on a real Spark cluster: a master, two workers, and executors that may die."""

import json
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
from oryx_py.local.ports import choose
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
    cluster: SparkCluster, into: Path, work: Path, sizes: Prepared, how: Recipe
) -> "subprocess.Popen[str]":
    """Start a driver of its own: a process has one Spark."""
    work.mkdir()
    argument = {
        "into": str(into),
        "work": str(work),
        "sizes": [sizes.users, sizes.items, sizes.pairs],
        "recipe": msgspec.to_builtins(how),
        "master": cluster.master,
        "tasks": "auto",
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
    }
    command = [sys.executable, "-m", "tests.support.training", json.dumps(argument)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_an_executor_that_is_killed_changes_no_bit(spark: SparkSession, cluster: SparkCluster, tmp_path: Path) -> None:
    """Many tasks on a cluster that loses an executor in the middle, and one task here: the same generation."""
    world, how = tastes(1500, 600, 40_000), recipe(patience=2, iterations=3)
    sizes = prepared(tmp_path / "cluster", world)
    prepared(tmp_path / "here", world)
    driver = start_training(cluster, tmp_path / "cluster", tmp_path / "work", sizes, how)
    assert driver.stdout is not None
    killed = None
    try:
        for line in driver.stdout:
            if line.startswith("epoch 1") and killed is None:
                killed = cluster.kill_an_executor()
        _, errors = driver.communicate(timeout=400)
    finally:
        driver.kill()
    assert driver.returncode == 0, errors[-2000:]
    assert killed is not None
    (tmp_path / "work-here").mkdir()
    fit_generation(spark, tmp_path / "here", tmp_path / "work-here", sizes, how)
    for name in ("items", "users", "items.gram", "users.gram"):
        there, here = (np.load(tmp_path / place / f"{name}.npy") for place in ("cluster", "here"))
        assert here.any()
        np.testing.assert_array_equal(there, here, err_msg=name)
