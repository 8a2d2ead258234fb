"""How good the settings are that nobody has set: nDCG@10 on data of different kinds, beside others and popularity.

``python -m tests.bench.defaults --data FOLDER`` takes MovieLens' ``ml-100k/u.data`` and Last.fm's
``lastfm-2k/user_artists.dat`` from there, and draws sparse worlds. Of each user a fifth is held out: the last (ML-100K
by time, worlds), or a random one by seed. Users are solved exactly against the items, as the batch layer publishes
them; all items are ranked but those trained on. MLlib's objective is minimised by this project's own sweeps, so that
objectives are compared, not programs. ``--grid`` adds neighbours of the defaults, which is how they were chosen.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from batch_layer.recipe import recipe_of
from oryx_py.config import Input, Model
from oryx_py.numerics.als import Observed, fitted
from oryx_py.numerics.fold_in.batched import fold_in_many
from oryx_py.numerics.fold_in.dense import Prior
from oryx_py.numerics.gram import gram
from oryx_py.testing.long_tail import LongTail
from tests.bench.batch.samples import Sample, movielens, random_fifth, world_sample
from tests.bench.batch.scoring import ndcg_of, popularity_ndcg

SEEDS: Final = (1, 2)
GRIDS: Final[dict[str, tuple[dict[str, tuple[float, ...]], ...]]] = {
    "ials": (
        {"unobserved_weight": (0.1, 0.2, 0.3), "lambda_": (0.8, 1.2, 1.8), "nu": (0.25,)},
        {"alpha": (0.01,), "unobserved_weight": (0.003, 0.01, 0.02), "lambda_": (0.0003, 0.0005), "nu": (1.0,)},
    ),
    "mllib": ({"alpha": (0.01, 0.1, 1.0), "lambda_": (0.1, 0.3, 1.0)},),
}


def samples(data: Path) -> Iterator[tuple[str, Sample]]:
    """Iterate over what is trained on and asked for, by name."""
    yield "ML-100K, the last fifth", movielens(data / "ml-100k/u.data")[0]
    ratings = np.loadtxt(data / "ml-100k/u.data", dtype=np.int64)
    plays = np.loadtxt(data / "lastfm-2k/user_artists.dat", dtype=np.int64, skiprows=_header(data))
    for name, table in (("ML-100K", ratings), ("Last.fm", plays)):
        for seed in SEEDS:
            yield f"{name}, a random fifth ({seed})", random_fifth(table[:, 0], table[:, 1], table[:, 2], seed)
    for seed in SEEDS:
        world = LongTail(users=8_000, items=10_000, interactions=200_000, seed=seed)
        yield f"a world of 8k × 10k, 200k pairs ({seed})", world_sample(world)[0]


def _header(data: Path) -> int:
    with (data / "lastfm-2k/user_artists.dat").open() as file:
        return next(number for number, line in enumerate(file) if len(line.split()) == 3 and line[0].isdigit())


def score(sample: Sample, trainer: str, threads: int, **given: Any) -> float:
    """Train by a trainer's objective and defaults, but for what is given, to the end; nDCG@10."""
    model = Model(**given)
    recipe = recipe_of(model, trainer, Input()).fitted_to(sample.train.strengths)
    objective, by_users, by_items = recipe.objective, sample.train, sample.train.transposed(sample.items)
    sides = [
        Observed.of(rows.indptr, rows.indices, rows.strengths, others, objective)
        for rows, others in ((by_users, sample.items), (by_items, sample.users))
    ]
    rng = np.random.default_rng(model.seed)
    _, items = fitted(*sides, model.features, objective, epochs=model.iterations, rng=rng, threads=threads)
    users = fold_in_many(
        by_users.indptr, by_users.indices, by_users.strengths, items, _prior(items), objective, threads=threads
    )
    return ndcg_of(sample, users, items)


def _prior(items: NDArray[np.float32]) -> Prior:
    return Prior(gram(items), len(items), of="items")


def asked(more: bool, trainers: list[str]) -> list[tuple[str, dict[str, float]]]:
    """What is tried: each trainer's defaults, then its grids."""
    found: list[tuple[str, dict[str, float]]] = [(trainer, {}) for trainer in trainers]
    if more:
        for trainer in trainers:
            for grid in GRIDS[trainer]:
                found += [(trainer, dict(zip(grid, values, strict=True))) for values in product(*grid.values())]
    return found


def main() -> None:
    """Print the measurements."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with ml-100k and lastfm-2k")
    parser.add_argument("--only", default="", help="of the data, those whose name has this")
    parser.add_argument("--trainers", default="ials,mllib")
    parser.add_argument("--grid", action="store_true", help="try neighbours of the defaults, too")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results = []
    with threadpool_limits(1, "blas"):
        for name, sample in samples(options.data):
            if options.only not in name:
                continue
            result: dict[str, Any] = {"data": name, "pairs": sample.train.pairs, "popularity": popularity_ndcg(sample)}
            result["tried"] = []
            for trainer, given in asked(options.grid, options.trainers.split(",")):
                found = score(sample, trainer, options.threads, **given)
                result["tried"].append({"trainer": trainer, "given": given, "ndcg_at_10": round(found, 4)})
                print(f"{name}: {trainer} {given or 'as by default'}: {found:.4f}", file=sys.stderr, flush=True)
            results.append(result)
    if options.json:
        print(json.dumps(results))
        return
    for result in results:
        print(f"{result['data']}, {result['pairs']:,} pairs to train on; popularity {result['popularity']:.4f}")
        for each in result["tried"]:
            print(f"  {each['ndcg_at_10']:.4f}  {each['trainer']} {each['given'] or 'as by default'}")


if __name__ == "__main__":
    main()
