"""What holds the speed layer back from a full retraining: the replay with one of its rules changed at a time.

``python -m tests.bench.prequential_ablations --seeds 1,2,3`` replays drifting worlds (``--data u.data``: ML-100K) for

- ``speed``: as it is;
- ``feeds back``: users are solved from the new items' vectors, too (the levels of `consistency.md` forbid it);
- ``items follow``: each interaction solves its item anew, those of the generation, too, against its users of now;
- ``both``: alternating least squares, one row of each side an interaction;
- ``lambda / 3`` and ``lambda * 3``: the fold-in's regularisation is not that of the training.

Printed for each group of users are nDCG@10 and hit rate@10, the share of the retraining's gain over no update, and the
paired difference to ``speed`` with its interval; seeds are pooled, users of different seeds being different users.
"""

import argparse
import dataclasses
import json
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np

from batch_layer.recipe import recipe_of
from oryx_py.cli.evaluate.arms import Arm, ArmName, ModelArm, make_arms
from oryx_py.cli.evaluate.figures import DRAWS, gains
from oryx_py.cli.evaluate.known import Known
from oryx_py.cli.evaluate.log import Log
from oryx_py.cli.evaluate.replay import Outcomes, Replay
from oryx_py.cli.evaluate.training import Trainer
from oryx_py.config import Batch, Input, Model
from oryx_py.events import Interaction
from oryx_py.messages.blocks import Updates
from oryx_py.model.generations.generation import Generation
from oryx_py.model.state.model_state import ModelState
from oryx_py.numerics.fold_in.dense import Prior, fold_in
from oryx_py.numerics.ranking.resampling import cluster_sums, interval
from oryx_py.testing.drifting import DriftingWorld
from speed_layer.folding.exact_fold import ExactFold
from speed_layer.solving.budget import Budget
from tests.bench.prequential import SHARE, drifting, movielens

CHANGED = ("feeds back", "items follow", "both", "lambda / 3", "lambda * 3")
NAMES = ("none", "retrain", "speed", *CHANGED)


class Following(ExactFold):
    """The fold, and then what its rules leave out: slow, dense, for this measurement alone."""

    def __init__(self, state: ModelState, *, users: bool, items: bool) -> None:
        super().__init__(state, 1)
        generation = state.generation
        self._follow = users, items
        self._priors = (
            Prior(generation.item_gram, len(generation.items), of="items"),
            Prior(generation.user_gram, len(generation.users), of="users"),
        )
        self._users_of: dict[int, set[int]] = {
            item: set(generation.item_histories.row(item)[0].tolist()) for item in range(len(generation.items))
        }
        self._last: Interaction | None = None

    def add(self, interaction: Interaction, partition: int, offset: int, kafka_ms: int = -1) -> None:
        self._last = interaction
        super().add(interaction, partition, offset, kafka_ms)

    def step(self, max_users: int | None = None, budget: Budget | None = None) -> list[Updates]:
        updates = super().step(max_users, budget)
        assert self._last is not None
        state, objective = self.state, self.state.generation.manifest.objective
        user, item = state.users.find(self._last.user), state.items.find(self._last.item)
        self._users_of.setdefault(item, set()).add(user)
        if self._follow[1]:
            knowers = np.array(sorted(self._users_of[item]), np.int64)
            knowers = knowers[state.user_vectors.has(knowers)]
            strengths = np.array([state.histories.strength(knower, item) or 0.0 for knower in knowers.tolist()])
            if len(knowers):
                vector = fold_in(strengths, state.user_vectors.gather(knowers), self._priors[1], objective)
                state.item_vectors.set(item, vector.astype(np.float32))
        if self._follow[0]:
            items, strengths = state.history(user)
            there = state.item_vectors.has(items)
            if there.any():
                factors = state.item_vectors.gather(items[there])
                vector = fold_in(strengths[there], factors, self._priors[0], objective)
                state.user_vectors.set(user, vector.astype(np.float32))
        return updates


def changed_arms(names: Sequence[ArmName], log: Log, known: Known, generation: Generation) -> list[Arm]:
    """The product's arms by their names, and those with a rule changed."""
    rules: dict[str, tuple[float, Callable[[ModelState], ExactFold]]] = {
        "feeds back": (1.0, partial(Following, users=True, items=False)),
        "items follow": (1.0, partial(Following, users=False, items=True)),
        "both": (1.0, partial(Following, users=True, items=True)),
        "lambda / 3": (1 / 3, lambda state: ExactFold(state, 1)),
        "lambda * 3": (3.0, lambda state: ExactFold(state, 1)),
    }
    arms: list[Arm] = []
    for name in names:
        if name in rules:
            scale, rule = rules[name]
            arms.append(ModelArm(name, log, known, regularised(generation, scale), rule, retrains=False))
        else:
            arms += make_arms([name], log, known, generation)
    return arms


def regularised(generation: Generation, scale: float) -> Generation:
    """The generation, for another λ from now on."""
    manifest = generation.manifest
    objective = msgspec.structs.replace(manifest.objective, lambda_=manifest.objective.lambda_ * scale)
    return dataclasses.replace(generation, manifest=msgspec.structs.replace(manifest, objective=objective))


def pooled(outcomes: Sequence[Outcomes], seed: int) -> list[dict[str, Any]]:
    """By group, metric and arm: the mean, the share of the retraining's gain, the difference to the speed layer."""
    ranks = np.concatenate([one.ranks for one in outcomes], axis=1)
    users = np.concatenate([one.users + 1_000_000 * at for at, one in enumerate(outcomes)])
    known = np.concatenate([one.known_user for one in outcomes])
    rows = []
    for group, cases in (("all", np.ones(len(users), np.bool_)), ("known users", known), ("new users", ~known)):
        if not cases.any():
            continue
        for metric, values in zip(("ndcg@10", "hit_rate@10"), gains(ranks[:, cases]), strict=False):
            columns = np.concatenate([np.ones((1, values.shape[1])), values]).T
            drawn = cluster_sums(users[cases], columns, DRAWS, np.random.default_rng(seed))
            means, replicates = values.mean(axis=1), (drawn[:, 1:] / drawn[:, :1]).T
            none, retrain, speed = (NAMES.index(name) for name in ("none", "retrain", "speed"))
            for at, name in enumerate(NAMES):
                with np.errstate(divide="ignore", invalid="ignore"):
                    share = (replicates[at] - replicates[none]) / (replicates[retrain] - replicates[none])
                    told = (means[at] - means[none]) / (means[retrain] - means[none])
                rows.append(
                    {
                        "group": group,
                        "metric": metric,
                        "arm": name,
                        "mean": float(means[at]),
                        "share": float(told),
                        "share_interval": list(interval(share)),
                        "over_speed": float(means[at] - means[speed]),
                        "over_speed_interval": list(interval(replicates[at] - replicates[speed])),
                    }
                )
    return rows


def main() -> None:
    """Print the measurements."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="u.data of MovieLens 100K; without it, invented worlds")
    parser.add_argument("--seeds", default="1", help="of worlds, by commas")
    parser.add_argument("--events", type=int, help="replay at most so many of each")
    parser.add_argument("--trainer", default=Batch().trainer)
    parser.add_argument("--model", default="{}", help="settings of that group as JSON")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    model = msgspec.convert({**msgspec.to_builtins(Model()), **json.loads(asked.model)}, Model, strict=False)
    trainer = Trainer(recipe_of(model, asked.trainer, Input()), len(os.sched_getaffinity(0)))
    seeds = [int(seed) for seed in asked.seeds.split(",")]
    logs = [movielens(asked.data)] if asked.data else [drifting(DriftingWorld(seed=seed)) for seed in seeds]
    outcomes = []
    for log in logs:
        trained = int(SHARE * len(log))
        log = log.first(trained + asked.events) if asked.events else log
        replay = Replay(log, trained, trainer, cast("Any", NAMES), every=1_000, make=changed_arms)
        outcomes.append(replay.run())
    rows = pooled(outcomes, 1)
    if asked.json:
        print(json.dumps({"model": asked.model, "seeds": seeds, "rows": rows}))
        return
    for row in rows:
        low, high = row["share_interval"]
        less, more = row["over_speed_interval"]
        print(
            f"{row['group']:<12} {row['metric']:<12} {row['arm']:<13} {row['mean']:.4f}   share {row['share']:6.2f} "
            f"[{low:6.2f}, {high:6.2f}]   over speed {row['over_speed']:+.4f} [{less:+.4f}, {more:+.4f}]"
        )


if __name__ == "__main__":
    main()
