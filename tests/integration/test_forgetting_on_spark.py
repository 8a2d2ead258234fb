"""Spark promises of forgets what the slow engine does."""

from pathlib import Path

import msgspec
import pytest
from pyspark.sql import SparkSession

from batch_layer.recipe import recipe_of
from batch_layer.spark.engine import SparkEngine
from batch_layer.spark.rows import forgetting
from batch_layer.spark.rows.topic_reader import Source
from batch_layer.task_files.work_folder import WorkFolder
from oryx_py.config import Input, Model
from oryx_py.events import FoldSettings
from tests.support.forgetting import FOLD, WINDOWLESS, ForgettingContract

pytestmark = [pytest.mark.spark, pytest.mark.xdist_group("spark")]


@pytest.fixture
def engine(spark: SparkSession, tmp_path: Path) -> SparkEngine:
    return engine_by(FOLD, spark, tmp_path)


@pytest.fixture
def windowless(spark: SparkSession, tmp_path: Path) -> SparkEngine:
    return engine_by(WINDOWLESS, spark, tmp_path)


def engine_by(fold: FoldSettings, spark: SparkSession, folder: Path) -> SparkEngine:
    recipe = msgspec.structs.replace(recipe_of(Model(), "ials", Input()), fold=fold)
    work = WorkFolder(folder / "work")
    return SparkEngine(Source("in", "", {}), recipe, work=work, start=lambda: spark, end=lambda _: None)


class TestForgettingOnSpark(ForgettingContract):
    """In tasks."""


class TestForgettingManyOnSpark(ForgettingContract):
    """The same where there are more keys than a task holds, and more names than are looked for by name."""

    @pytest.fixture(autouse=True)
    def bounds(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(forgetting, "_FEW", 0)
        monkeypatch.setattr(forgetting, "_NAMED", 0)
