"""A small training in the layer's own process is the one that a task of Spark would have done."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession

from batch_layer.engine import Cancelled
from batch_layer.spark.fitting import fit_generation
from batch_layer.spark.fitting.choice import hands_for
from batch_layer.spark.preparing import Prepared
from batch_layer.spark.session.tasks import Hands, InThreads, OnSpark
from batch_layer.telemetry.progress import Progress
from tests.support.training import prepared, recipe, tastes

pytestmark = [pytest.mark.spark, pytest.mark.xdist_group("spark")]

LARGE = Prepared(400_000, 100_000, 20_000_000)
FILES = ("items", "users", "items.gram", "users.gram")


def test_small_ones_stay_here_and_large_ones_have_a_process_of_their_own(spark: SparkSession) -> None:
    how = recipe(features=64)
    assert isinstance(hands_for(spark, Prepared(943, 1682, 100_000), how, one=True), InThreads)
    assert isinstance(hands_for(spark, LARGE, how, one=True), OnSpark)
    assert isinstance(hands_for(spark, Prepared(943, 1682, 100_000), how, one=False), OnSpark)


def test_both_come_to_the_same_bits(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world, how = tastes(1500, 600, 40_000), recipe(patience=2, iterations=3)
    strengths = np.random.default_rng(1).integers(1, 6, len(world.users)).astype(float)
    told: dict[str, Any] = {}
    for name, most in (("here", 1 << 30), ("there", 0)):
        monkeypatch.setattr("batch_layer.spark.fitting.choice._SMALL", most)
        sizes = prepared(tmp_path / name, world, strengths)
        (tmp_path / f"{name}.work").mkdir()
        fitted = fit_generation(spark, tmp_path / name, tmp_path / f"{name}.work", sizes, how)
        told[name] = (fitted.objective, fitted.epochs, fitted.metrics)
    assert told["here"] == told["there"]
    for file in FILES:
        here, there = (np.load(tmp_path / name / f"{file}.npy") for name in ("here", "there"))
        assert here.any()
        np.testing.assert_array_equal(here, there, err_msg=file)


@pytest.mark.parametrize("hands", [InThreads, OnSpark], ids=["here", "on-spark"])
def test_either_ends_when_asked_to(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hands: Callable[..., Hands]
) -> None:
    monkeypatch.setattr("batch_layer.spark.fitting.choice._SMALL", 0 if hands is OnSpark else 1 << 30)
    sizes = prepared(tmp_path / "into", tastes(300, 100, 4_000))
    (tmp_path / "work").mkdir()
    seen: list[Progress] = []
    with pytest.raises(Cancelled):
        fit_generation(
            spark,
            tmp_path / "into",
            tmp_path / "work",
            sizes,
            recipe(iterations=100_000),
            cancelled=lambda: any(progress.epoch for progress in seen),
            on_progress=seen.append,
        )
    assert not (tmp_path / "into" / "users.npy").exists()
