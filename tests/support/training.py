"""Worlds as prepared directories, and a training on one that a test can start as a process of its own."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from batch_layer.recipe import Recipe, recipe_of
from batch_layer.spark.preparing import Prepared
from batch_layer.telemetry.progress import Progress
from oryx_py.adapters.places import Reach
from oryx_py.config import Input, Model
from oryx_py.model.files import write_array
from oryx_py.model.generations.csr import Csr
from oryx_py.model.generations.history_files import history_files
from oryx_py.model.ids.id_table import write_ids


@dataclass(frozen=True)
class Tastes:
    """Pairs of users and items of some tastes that seldom mix."""

    users: np.ndarray
    items: np.ndarray
    shape: tuple[int, int]

    def some(self, kept: np.ndarray) -> "Tastes":
        """Return these pairs alone; the counts of users and items are as before."""
        return Tastes(self.users[kept], self.items[kept], self.shape)


def tastes(users: int, items: int, pairs: int, *, seed: int = 0, groups: int = 12) -> Tastes:
    """Draw pairs: popular items more often, and four of five from the user's own group."""
    rng = np.random.default_rng(seed)
    user = rng.integers(0, users, 2 * pairs)
    popularity = (items * rng.random(2 * pairs) ** 2).astype(np.int64)
    own = rng.random(2 * pairs) < 0.8
    item = np.where(own, popularity // groups * groups + user % groups, popularity).clip(0, items - 1)
    keys = np.unique(user * np.int64(items) + item)
    keys = np.sort(rng.choice(keys, min(pairs, len(keys)), replace=False))
    return Tastes(keys // items, keys % items, (users, items))


def prepared(into: Path, world: Tastes, strengths: np.ndarray | None = None) -> Prepared:
    """Write a world as preparing does; rows without a pair are left out, their IDs with them."""
    into.mkdir(parents=True)
    user_rows, users = np.unique(world.users, return_inverse=True)
    item_rows, items = np.unique(world.items, return_inverse=True)
    told = np.ones(len(users)) if strengths is None else strengths
    by_users = Csr.from_pairs(users, items, told, len(user_rows))
    sides = (("users", user_rows, by_users), ("items", item_rows, by_users.transposed(len(item_rows))))
    for side, rows, histories in sides:
        write_ids(into, side, [f"{side}-{row:08d}" for row in rows])
        arrays = (histories.indptr, histories.indices, histories.strengths)
        for file, array in zip(history_files(side), arrays, strict=True):
            write_array(into / file, array)
    return Prepared(len(user_rows), len(item_rows), by_users.pairs)


def recipe(**model: object) -> Recipe:
    """Return how to train; small and quick unless told otherwise."""
    given = {"features": 8, "iterations": 6, "lambda_": 0.01, "patience": 0} | model
    return recipe_of(Model(**given), "ials", Input())


def _train(argument: str) -> None:
    """Train in a Spark session of this process's own; prints each epoch."""
    from batch_layer.spark.fitting import TASK_BYTES, TRAINING_TASKS, fit_generation
    from batch_layer.spark.session.opening import close_session, open_session
    from batch_layer.task_files.store_exchange import StoreExchange

    given = json.loads(argument)
    into, work = Path(given["into"]), Path(given["work"])
    how = msgspec.convert(given["recipe"], Recipe)

    def say(progress: Progress) -> None:
        print(f"epoch {progress.epoch}", flush=True)

    properties = {TRAINING_TASKS: given["tasks"], TASK_BYTES: str(given["task_bytes"]), **given["properties"]}
    beyond = given.get("exchange")
    exchange = StoreExchange(beyond["uri"], Reach(webhdfs_url=beyond["webhdfs_url"], replication=1)) if beyond else None
    spark = open_session(given["master"], properties, work / "spark.log")
    try:
        fit_generation(spark, into, work, Prepared(*given["sizes"]), how, exchange=exchange, on_progress=say)
    finally:
        close_session(spark)


if __name__ == "__main__":
    _train(sys.argv[1])
