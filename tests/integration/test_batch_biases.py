"""Ratings in the history's files become a generation with biases, in a real Spark."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from batch_layer.folding.input_rows import HISTORY_SCHEMA
from batch_layer.recipe import recipe_of
from batch_layer.spark.training import train
from oryx_py.config import Input, Model
from oryx_py.model.files import map_array
from oryx_py.model.generations.history_files import map_histories
from oryx_py.model.ids.id_table import IdTable
from tests.support.biases import biased_ridge

pytestmark = [pytest.mark.spark, pytest.mark.xdist_group("spark")]

USERS, ITEMS, LATENT, LAMBDA = 60, 30, 3, 0.05


def test_what_is_in_the_files_is_what_is_solved(spark: SparkSession, tmp_path: Path) -> None:
    """The last rating counts, 0 is one, and a deleted one is gone: from μ, and from what each user is solved from."""
    rng, told, rows = np.random.default_rng(12), dict[tuple[str, str], float](), []
    for number in range(2 * USERS * ITEMS // 3):
        user, item = f"u{rng.integers(USERS):02}", f"i{rng.integers(ITEMS):02}"
        rating = None if number % 9 == 0 else float(rng.integers(0, 6))
        rows.append((0, number, number, None, user, item, rating, None, None))
        told.pop((user, item), None)
        if rating is not None:
            told[user, item] = rating
    file, into, work = tmp_path / "rows.parquet", tmp_path / "into", tmp_path / "work"
    pq.write_table(
        pa.Table.from_pylist([dict(zip(HISTORY_SCHEMA.names, row, strict=True)) for row in rows], HISTORY_SCHEMA), file
    )
    into.mkdir()
    work.mkdir()
    model = Model(feedback="explicit", biases=True, features=LATENT, iterations=4, lambda_=LAMBDA)
    recipe = recipe_of(model, "ials", Input())
    trained = train(spark, [file.as_uri()], recipe, into, work, rows=len(rows))
    assert trained is not None
    biases = trained.objective.biases
    assert biases is not None
    assert trained.objective.settings == recipe.objective
    assert biases.mean == pytest.approx(np.mean(list(told.values())), rel=1e-12)
    users, items = (map_array(into / f"{side}.npy", np.float32, (None, LATENT + 2)) for side in ("users", "items"))
    assert (items[:, LATENT] == 1).all()
    ids, names, histories = IdTable.open(into, "users"), IdTable.open(into, "items"), map_histories(into, "users")
    for row in range(len(histories)):
        known, ratings = histories.row(row)
        assert dict(zip(names.ids(known), ratings.tolist(), strict=True)) == {
            item: rating for (user, item), rating in told.items() if user == ids.id(row)
        }
        wanted = biased_ridge(ratings, items[known], "items", biases.mean, LAMBDA)
        assert np.linalg.norm(users[row] - wanted) <= 1e-5 * np.linalg.norm(wanted)
    assert {user for user, _ in told} == set(ids.ids(np.arange(len(histories))))
