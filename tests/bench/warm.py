"""How many sweeps a warm start takes to where a cold one gets, after 5 % new interactions.

``python -m tests.bench.warm --json``: a world's pairs are known but for one in twenty, among them all of some items and
users, and trained on for as many sweeps as a cold start has. Then all pairs are: from the beginning, and from what that
came to, in ever more sweeps. nDCG@10 is of what is held out of the tested users, whose vectors are solved exactly
against the items, as the batch layer publishes them. Ends with 1 where more than a third of the sweeps is needed.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from batch_layer.host.cores import cores
from batch_layer.training.alone import Alone, train_alone
from batch_layer.training.job import Job
from oryx_py.model.generations.history_files import map_histories
from oryx_py.numerics.fold_in.batched import fold_in_many
from oryx_py.numerics.fold_in.dense import Prior
from oryx_py.numerics.gram import gram
from oryx_py.numerics.objective import Objective
from tests.bench.batch.samples import WORLDS, Sample, world_sample
from tests.bench.batch.scoring import gains_of, popularity_ndcg
from tests.support.training import Tastes, prepared, recipe

NEW, WHOLE = 0.05, 50
"""Of all pairs; of items and users, one in so many is all new."""


class Measure:
    """Trains on pairs of a sample, in folders of its own, and scores what comes of it."""

    def __init__(self, folder: Path, sample: Sample, options: argparse.Namespace) -> None:
        self._folder, self._sample, self._options = folder, sample, options
        self.objective = Objective.ials(options.alpha0, options.lambda_, 1.0)
        lengths = np.diff(sample.train.indptr)
        self.users = np.repeat(np.arange(sample.users), lengths)
        self.items = np.asarray(sample.train.indices, np.int64)

    def known(self) -> NDArray[np.bool_]:
        """Return bool[pairs]: what there was before."""
        rng = np.random.default_rng(self._options.seed)
        whole = (self.items % WHOLE == 7) | (self.users % WHOLE == 11)
        share = max(0.0, (NEW - whole.mean()) / (1 - whole.mean()))
        known: NDArray[np.bool_] = ~whole & (rng.random(len(whole)) >= share)
        return known

    def train(self, name: str, kept: NDArray[np.bool_], sweeps: int, parent: Path | None = None) -> Path:
        """Train, and publish users and items into the folder that is returned."""
        into, work = self._folder / name, self._folder / f"{name}.work"
        pairs = Tastes(self.users[kept], self.items[kept], (self._sample.users, self._sample.items))
        sizes = prepared(into, pairs, np.asarray(self._sample.train.strengths, np.float64)[kept])
        work.mkdir()
        how = msgspec.structs.replace(
            recipe(features=self._options.features, iterations=sweeps, warm_start=parent is not None),
            objective=self.objective,
            alpha=None,
        )
        train_alone(Alone(Job(into, work, sizes.users, sizes.items, how, parent)), work / "items.npy")
        items, histories = np.load(work / "items.npy"), map_histories(into, "users")
        prior = Prior(gram(items), len(items), of="items")
        rows = histories.indptr, histories.indices, histories.strengths
        np.save(into / "items.npy", items)
        np.save(into / "users.npy", fold_in_many(*rows, items, prior, self.objective, threads=cores()))
        return into

    def ndcg(self, published: Path, kept: NDArray[np.bool_]) -> float:
        """Score what was published."""
        sides = []
        for name, count, of in (("users", self._sample.users, self.users), ("items", self._sample.items, self.items)):
            whole = np.zeros((count, self._options.features), np.float32)
            whole[np.unique(of[kept])] = np.load(published / f"{name}.npy")
            sides.append(whole)
        return float(gains_of(self._sample, *sides).mean())


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", choices=WORLDS, default="810k")
    parser.add_argument("--features", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=15, help="of a cold start (15)")
    parser.add_argument("--alpha0", type=float, default=0.03)
    parser.add_argument("--lambda", dest="lambda_", type=float, default=0.01)
    parser.add_argument("--seed", type=int, default=1, help="of what is new")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    sample, _ = world_sample(WORLDS[options.world])
    with tempfile.TemporaryDirectory(prefix="oryx-warm-") as folder:
        measure = Measure(Path(folder), sample, options)
        known, everything = measure.known(), np.ones(len(measure.users), bool)
        before = measure.train("before", known, options.epochs)
        cold = measure.ndcg(measure.train("cold", everything, options.epochs), everything)
        third = -(-options.epochs // 3)
        short = measure.ndcg(measure.train("short", everything, third), everything)
        warm = [
            measure.ndcg(measure.train(f"warm-{sweeps}", everything, sweeps, before), everything)
            for sweeps in range(1, third + 1)
        ]
        result = {
            "new_pairs": round(1 - known.mean(), 4),
            "ndcg_before": round(measure.ndcg(before, known), 4),
            "ndcg_cold": {options.epochs: round(cold, 4), third: round(short, 4)},
            "ndcg_warm": {sweeps: round(found, 4) for sweeps, found in enumerate(warm, 1)},
            "popularity": round(popularity_ndcg(sample), 4),
            "sweeps_needed": next((sweeps for sweeps, found in enumerate(warm, 1) if found >= cold), None),
            "world": options.world,
            "features": options.features,
            "cores": os.cpu_count(),
            "machine": platform.machine(),
        }
    if options.json:
        print(json.dumps(result))
    else:
        print("\n".join(f"{name:16} {value}" for name, value in result.items()))
    return 0 if result["sweeps_needed"] else 1


if __name__ == "__main__":
    sys.exit(main())
