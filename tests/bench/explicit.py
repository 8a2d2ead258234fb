"""How well ratings are predicted: RMSE on a random quarter, with biases, without, by MLlib, and by means.

``python -m tests.bench.explicit --data FOLDER`` (with MovieLens' ``u.data`` in it) prints medians over seeds, with
``--json`` every split's numbers, what was chosen, and the machine. Each split is seeded; features, λ and epochs are
chosen by everybody alike on a tenth of the training part, then all of it is trained on. Users are solved exactly
against the items, as the batch layer publishes them. Nothing is clipped to the scale of the ratings; whoever has no
rating in the training part is predicted as the mean, or by what is left of the biases.
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from itertools import islice, product
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from oryx_py.numerics.als import State, Threads, observed, start, sweep
from oryx_py.numerics.biases import Biases
from oryx_py.numerics.fold_in.batched import fold_in_many
from oryx_py.numerics.fold_in.dense import Prior
from oryx_py.numerics.objective import Objective

FEATURES, LAMBDAS, EPOCHS = (8, 32, 64), (0.08, 0.1, 0.13, 0.17), 15
MLLIB_FEATURES, MLLIB_LAMBDAS, MLLIB_EPOCHS = (8, 32), (0.1, 0.13, 0.17), (5, 15)


class Ratings(NamedTuple):
    """Rows of users and items, and what they rated; ``shape`` counts all of them."""

    users: NDArray[np.int64]
    items: NDArray[np.int64]
    values: NDArray[np.float64]
    shape: tuple[int, int]

    def part(self, chosen: NDArray[np.int64]) -> Self:
        """Return some of them, ordered by user and item."""
        chosen = chosen[np.lexsort((self.items[chosen], self.users[chosen]))]
        return self._replace(users=self.users[chosen], items=self.items[chosen], values=self.values[chosen])

    def split(self, share: float, rng: np.random.Generator) -> tuple[Self, Self]:
        """Return a random part without a share of them, and that share."""
        order = rng.permutation(len(self.values))
        cut = round(share * len(order))
        return self.part(order[cut:]), self.part(order[:cut])

    def error(self, scores: NDArray[np.float64]) -> float:
        """Root of the mean squared error of these scores."""
        return float(np.sqrt(np.mean((scores - self.values) ** 2)))


class Choice(NamedTuple):
    """Hyperparameters."""

    features: int
    lambda_: float
    epochs: int


Scores = Iterator[NDArray[np.float64]]


def read(folder: Path) -> Ratings:
    """Read ``u.data``."""
    table = np.loadtxt(folder / "u.data", dtype=np.int64)
    users, items = (np.unique(table[:, at], return_inverse=True)[1] for at in (0, 1))
    return Ratings(users, items, table[:, 2].astype(np.float64), (int(users.max()) + 1, int(items.max()) + 1))


def ours(train: Ratings, test: Ratings, features: int, lambda_: float, seed: int, *, biased: bool) -> Scores:
    """Iterate over the scores of the test's pairs after each epoch."""
    mean, k = float(train.values.mean()), features + 2 * biased
    biases = Biases.last(k, mean) if biased else None
    objective = Objective.biased_explicit(lambda_, biases) if biases else Objective.mllib_explicit(lambda_)
    by_users, by_items = observed(train.users, train.items, train.values, train.shape, objective)
    items = start(train.shape[1], k, np.random.default_rng(seed), biases)
    with Threads(by_users, by_items, k) as workers:
        state = State(np.zeros((train.shape[0], k), np.float32), items, workers.gram("items", items))
        while True:
            state, _ = sweep(workers, state, objective)
            prior = Prior(state.gram, train.shape[1], of="items")
            users = fold_in_many(by_users.indptr, by_users.indices, train.values, state.items, prior, objective)
            scores = np.einsum("ij,ij->i", users[test.users].astype(np.float64), state.items[test.items])
            yield scores if biased else np.where(_told(train, test), scores, mean)


def _told(train: Ratings, test: Ratings) -> NDArray[np.bool_]:
    return np.isin(test.users, train.users) & np.isin(test.items, train.items)


def chosen_ours(train: Ratings, seed: int, *, biased: bool) -> Choice:
    """Choose on a tenth of the training part."""
    less, validation = train.split(0.1, np.random.default_rng(seed))
    errors = {
        Choice(features, lambda_, epoch): validation.error(scores)
        for features, lambda_ in product(FEATURES, LAMBDAS)
        for epoch, scores in enumerate(
            islice(ours(less, validation, features, lambda_, seed, biased=biased), EPOCHS), start=1
        )
    }
    return min(errors, key=lambda choice: errors[choice])


def mllib(spark: Any, train: Ratings, test: Ratings, choice: Choice, seed: int) -> NDArray[np.float64]:
    """Train Spark's explicit ALS and return the scores of the test's pairs."""
    from pyspark.ml.recommendation import ALS

    columns = {"user": train.users, "item": train.items, "rating": train.values}
    frame = spark.createDataFrame(pa.table({name: pa.array(column) for name, column in columns.items()}))
    als = ALS(rank=choice.features, maxIter=choice.epochs, regParam=choice.lambda_, seed=seed)
    als.setParams(userCol="user", itemCol="item", ratingCol="rating", numUserBlocks=2, numItemBlocks=2)
    model = als.fit(frame)
    factors = []
    for side, rows in ((model.userFactors, train.shape[0]), (model.itemFactors, train.shape[1])):
        table = side.toArrow()
        found = np.full((rows, choice.features), np.nan)
        found[table["id"].to_numpy()] = np.array(table["features"].to_pylist())
        factors.append(found)
    scores = np.einsum("ij,ij->i", factors[0][test.users], factors[1][test.items])
    return np.asarray(np.nan_to_num(scores, nan=float(train.values.mean())), np.float64)


def chosen_mllib(spark: Any, train: Ratings, seed: int) -> Choice:
    """Choose on the same tenth."""
    less, validation = train.split(0.1, np.random.default_rng(seed))
    grid = [Choice(*each) for each in product(MLLIB_FEATURES, MLLIB_LAMBDAS, MLLIB_EPOCHS)]
    return min(grid, key=lambda choice: validation.error(mllib(spark, less, validation, choice, seed)))


def means(train: Ratings, test: Ratings) -> dict[str, float]:
    """RMSE of the mean of all ratings, of each user's and of each item's."""
    overall = train.values.mean()
    errors = {"global mean": test.error(np.full(len(test.values), overall))}
    for name, told, asked, rows in (
        ("user mean", train.users, test.users, train.shape[0]),
        ("item mean", train.items, test.items, train.shape[1]),
    ):
        counts = np.bincount(told, minlength=rows)
        sums = np.bincount(told, weights=train.values, minlength=rows)
        errors[name] = test.error(np.where(counts > 0, sums / np.maximum(counts, 1), overall)[asked])
    return errors


def measure(ratings: Ratings, seed: int, spark: Any | None) -> dict[str, Any]:
    """One split: RMSE, choice and seconds of each."""
    train, test = ratings.split(0.25, np.random.default_rng(seed))
    found: dict[str, Any] = {"seed": seed, "rmse": means(train, test), "chosen": {}, "seconds": {}}

    def note(name: str, choose: Callable[[], Choice], score: Callable[[Choice], NDArray[np.float64]]) -> None:
        choice = choose()
        began = time.perf_counter()
        found["rmse"][name] = test.error(score(choice))
        found["seconds"][name] = time.perf_counter() - began
        found["chosen"][name] = choice._asdict()

    def last(choice: Choice, *, biased: bool) -> NDArray[np.float64]:
        run = ours(train, test, choice.features, choice.lambda_, seed, biased=biased)
        return next(islice(run, choice.epochs - 1, None))

    note("with biases", lambda: chosen_ours(train, seed, biased=True), lambda c: last(c, biased=True))
    note("without biases", lambda: chosen_ours(train, seed, biased=False), lambda c: last(c, biased=False))
    if spark is not None:
        note("MLlib, without", lambda: chosen_mllib(spark, train, seed), lambda c: mllib(spark, train, test, c, seed))
    return found


def main() -> None:
    """Print the measurements."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with u.data")
    parser.add_argument("--seeds", type=int, default=5, help="splits")
    parser.add_argument("--no-mllib", action="store_true", help="leave Spark out, which takes most of the time")
    parser.add_argument("--json", action="store_true", help="raw numbers with the machine")
    asked = parser.parse_args()
    ratings, spark = read(asked.data), None
    if not asked.no_mllib:
        from pyspark.sql import SparkSession

        conf: dict[str, bool | float | int | str | None] = {
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            "spark.log.level": "ERROR",
        }
        spark = SparkSession.builder.master("local[2]").config(map=conf).getOrCreate()
    with threadpool_limits(1):
        results = [measure(ratings, seed, spark) for seed in range(1, asked.seeds + 1)]
    if spark is not None:
        spark.stop()
    medians = {name: statistics.median(result["rmse"][name] for result in results) for name in results[0]["rmse"]}
    if asked.json:
        machine = {"machine": platform.machine(), "cores": os.cpu_count(), "python": platform.python_version()}
        print(json.dumps({"median_rmse": medians, "results": results, **machine}, indent=2))
        return
    print(
        f"RMSE on a random quarter of {len(ratings.values)} ratings, median of {asked.seeds} splits (lowest, highest)"
    )
    for name, median in sorted(medians.items(), key=lambda each: each[1]):
        told = [result["rmse"][name] for result in results]
        print(f"  {name:16}{median:8.4f}   ({min(told):.4f}, {max(told):.4f})")


if __name__ == "__main__":
    main()
