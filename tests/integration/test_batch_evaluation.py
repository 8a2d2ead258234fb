"""Kinds, decay, age and the evaluation by time in a real Spark, on a history with planted tastes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from batch_layer.engine import Trained
from batch_layer.folding.input_rows import HISTORY_SCHEMA
from batch_layer.recipe import Recipe, recipe_of
from batch_layer.spark.evaluation import evaluate
from batch_layer.spark.evaluation.targets import find_targets
from batch_layer.spark.evaluation.time_split import cut_of
from batch_layer.spark.fitting import fit_generation
from batch_layer.spark.rows.history_rows import read_rows
from batch_layer.spark.training import train
from oryx_py.config import Input, Kind, Model
from oryx_py.events import time_of
from oryx_py.model.files import map_array
from oryx_py.model.generations.csr import Csr
from oryx_py.model.generations.history_files import history_files
from oryx_py.model.ids.id_table import IdTable
from oryx_py.testing.worlds import make_world
from tests.support.batch import Row, slow_fold
from tests.support.generations import Pairs
from tests.unit.batch.test_evaluation import slow_figures

pytestmark = [pytest.mark.spark, pytest.mark.xdist_group("spark")]

HOUR_MS = 3_600_000
SHARE = 0.1
KINDS = [None, "view", "buy", "unheard of"]


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    """Three months of a world; every kind, some deletes and forgets, times that come late and lie in the future."""
    world = make_world(3, 150, 80, 3_000, 4, drift=0.0)
    rows: list[Row] = []
    ends = [0, 0]
    for number, (user, item) in enumerate(zip(world.users.tolist(), world.items.tolist(), strict=True)):
        partition = int(user[1:]) % 2
        kafka_ms = int(world.timestamps_ms[number])
        strength = None if number % 97 == 0 else float(world.strengths[number])
        shift = [None, 0, -30 * HOUR_MS, 5 * HOUR_MS][number % 4]
        forgets = number % 1999 == 1998
        rows.append(
            {
                "partition": partition,
                "offset": ends[partition],
                "kafka_ms": kafka_ms,
                "id": None,
                "user": user,
                "item": "" if forgets else item,
                "strength": None if forgets else strength,
                "timestamp_ms": None if shift is None else kafka_ms + shift,
                "kind": KINDS[number % len(KINDS)],
            }
        )
        ends[partition] += 1
    return rows


@pytest.fixture(scope="module")
def history(rows: Sequence[Row], tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("history") / "part-0.parquet"
    pq.write_table(pa.Table.from_pylist([dict(row) for row in rows], HISTORY_SCHEMA), file)
    return file.as_uri()


def recipe(**model: Any) -> Recipe:
    settings: dict[str, Any] = {"features": 4, "iterations": 6, "lambda_": 0.1, **model}
    kinds = {} if settings.get("feedback") == "explicit" else {"buy": Kind(5.0, 2_000.0), "view": Kind(0.5)}
    return recipe_of(Model(**settings), "ials", Input(kinds=kinds), SHARE)


DECAYING = {"alpha": 0.3, "unobserved_weight": 0.3, "half_life_h": 500.0, "zero_threshold": 0.1, "max_age_h": 2_000.0}


def run(spark: SparkSession, history: str, rows: Sequence[Row], folder: Path, how: Recipe) -> Trained:
    into, work = folder / "into", folder / "work"
    into.mkdir()
    work.mkdir()
    trained = train(spark, [history], how, into, work, rows=len(rows))
    assert trained is not None
    return trained


def pairs_in(directory: Path) -> Pairs:
    users, items = (IdTable.open(directory, side) for side in ("users", "items"))
    indptr, indices, strengths = (map_array(directory / name, kind, (None,)) for name, kind in _files())
    histories = Csr(indptr, indices, strengths)
    return {
        users.id(row): dict(zip(items.ids(histories.row(row)[0]), histories.row(row)[1].tolist(), strict=True))
        for row in range(len(users))
    }


def _files() -> list[tuple[str, Any]]:
    return list(zip(history_files("users"), (np.int64, np.int32, np.float64), strict=True))


def time_of_row(row: Row) -> int:
    return time_of(row["timestamp_ms"], row["kafka_ms"])


def slow_cut(rows: Sequence[Row]) -> int:
    times = sorted(time_of_row(row) for row in rows if row["strength"] is not None)
    allowed = int(SHARE * len(times))
    return min(time + 1 for time in times if sum(other > time for other in times) <= allowed)


def test_a_generation_has_the_folds_law_and_says_how_well_it_foresaw_the_newest(
    spark: SparkSession, history: str, rows: list[Row], tmp_path: Path
) -> None:
    how = recipe(**DECAYING)
    trained = run(spark, history, rows, tmp_path, how)
    assert pairs_in(tmp_path / "into") == slow_fold(rows, how.fold)

    evaluated, model = trained.metrics["evaluation"], tmp_path / "work" / "evaluation" / "model"
    cut_ms = slow_cut(rows)
    assert evaluated["cut_ms"] == cut_ms
    before = [row for row in rows if time_of_row(row) < cut_ms]
    since = [row for row in rows if time_of_row(row) >= cut_ms]
    known = slow_fold(before, how.fold, cut_ms)
    assert pairs_in(model) == known

    users, items = (IdTable.open(model, side) for side in ("users", "items"))
    X, Y = (np.load(model / f"{side}.npy").astype(float) for side in ("users", "items"))
    holders = [sum(items.id(item) in mine for mine in known.values()) for item in range(len(items))]
    figures: dict[str, list[list[float]]] = {"model": [], "popularity": []}
    taken_up = {
        user: {item for item, strength in mine.items() if strength > 0}
        for user, mine in slow_fold(since, how.fold, cut_ms).items()
    }
    taken_up = {user: mine for user, mine in taken_up.items() if mine}
    for user, mine in taken_up.items():
        wanted = {items.find(item) for item in mine if items.find(item) >= 0 and item not in known.get(user, {})}
        if users.find(user) < 0 or not wanted:
            continue
        able = [item for item in range(len(items)) if items.id(item) not in known[user]]
        scores = X[users.find(user)] @ Y.T
        figures["model"].append(slow_figures(sorted(able, key=lambda item: -scores[item]), wanted))
        figures["popularity"].append(slow_figures(sorted(able, key=lambda item: (-holders[item], item)), wanted))
    assert evaluated["users"] == evaluated["asked"] == len(taken_up)
    assert evaluated["evaluated"] == len(figures["model"]) > 50
    for ranker, theirs in figures.items():
        assert list(evaluated[ranker].values()) == pytest.approx(np.mean(theirs, axis=0).tolist())
    assert evaluated["model"]["ndcg@10"] > evaluated["popularity"]["ndcg@10"]
    assert trained.metrics["epochs"]["warm_start"]
    assert (evaluated["epochs"], trained.epochs) == (6, 2)
    assert how.hyperparameters["test_fraction"] == SHARE


def test_ratings_are_evaluated_by_their_error(
    spark: SparkSession, history: str, rows: list[Row], tmp_path: Path
) -> None:
    """Of every pair rated since the cut, rated before or not, where the model knows both."""
    how = recipe(feedback="explicit", max_age_h=2_000.0)
    evaluated = evaluate(spark, read_rows(spark, [history]), how, tmp_path / "work", fit_generation, parts=2)
    assert evaluated is not None
    users, items = (IdTable.open(evaluated.directory, side) for side in ("users", "items"))
    X, Y = (np.load(evaluated.directory / f"{side}.npy").astype(float) for side in ("users", "items"))
    cut_ms = slow_cut(rows)
    since = slow_fold([row for row in rows if time_of_row(row) >= cut_ms], how.fold, cut_ms)
    errors = [
        X[users.find(user)] @ Y[items.find(item)] - rating
        for user, mine in since.items()
        for item, rating in mine.items()
        if users.find(user) >= 0 and items.find(item) >= 0
    ]
    assert evaluated.metrics["evaluated"] == len(errors) > 100
    assert evaluated.metrics["model"]["rmse"] == pytest.approx(np.sqrt(np.mean(np.square(errors))))
    assert evaluated.metrics["item_mean"]["rmse"] > 0

    newest = read_rows(spark, [history]).where(f"least(coalesce(timestamp_ms, kafka_ms), kafka_ms) >= {cut_ms}")
    found = find_targets(newest, how.fold, evaluated.directory, most=30, parts=1)
    assert found.users == len(since)
    assert 10 < found.asked < 60
    for at, user in enumerate(found.targets.users.tolist()):
        theirs = found.targets.items[found.targets.indptr[at] : found.targets.indptr[at + 1]].tolist()
        assert theirs == sorted(items.find(item) for item in since[users.id(user)] if items.find(item) >= 0)


def test_a_history_of_one_moment_cannot_be_cut(spark: SparkSession, rows: list[Row], tmp_path: Path) -> None:
    moment = [{**row, "kafka_ms": 1_000, "timestamp_ms": None} for row in rows[:300]]
    file = tmp_path / "moment.parquet"
    pq.write_table(pa.Table.from_pylist(moment, HISTORY_SCHEMA), file)
    assert cut_of(read_rows(spark, [file.as_uri()]), SHARE) is None
