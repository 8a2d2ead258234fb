"""What live updates are worth: a prequential replay of ML-100K and of an invented world of drifting tastes.

``python -m tests.bench.prequential --data ml-100k/u.data`` prints the tables of ``oryx evaluate prequential`` for both,
and what they say to the claims; with ``--json`` the raw numbers and the machine. All arms, retraining every 1,000
interactions, the product's default settings; ``--trainer``, ``--features`` and the others of the model's settings
change them. It ends with 1 if a claim does not hold.

The claim: where the interval of what full retraining gains over no update lies above 0, the speed layer has 90 % of
that gain, over all cases. The same for known and new users is printed and not judged: there are fewer of either. So is
the paired interval of the speed layer against Oryx's rule.
"""

import argparse
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from batch_layer.recipe import recipe_of
from oryx_py.cli.evaluate.arms import ARMS
from oryx_py.cli.evaluate.figures import Figures, figures
from oryx_py.cli.evaluate.log import Log, LogBuilder
from oryx_py.cli.evaluate.reading import read_files
from oryx_py.cli.evaluate.replay import Replay
from oryx_py.cli.evaluate.report import as_object, headline, show
from oryx_py.cli.evaluate.training import Trainer
from oryx_py.cli.screen import Screen
from oryx_py.config import Batch, Input, Model
from oryx_py.testing.drifting import DriftingWorld, draw_drifting

RECOVERED = 0.9
SHARE = 0.8


def movielens(path: Path) -> Log:
    """The file in the order of time."""
    return read_files([path], None, "auto")[0].log()


def drifting(world: DriftingWorld) -> Log:
    """What happens in a world."""
    builder = LogBuilder()
    for interaction in draw_drifting(world):
        builder.add(interaction)
    return builder.log()


def claims(name: str, found: Figures) -> list[dict[str, Any]]:
    """The speed layer's share of what retraining gains, by group and metric; where that is nothing, none."""
    return [
        {
            "claim": f"{name}, {share.group}, {share.metric}: share of the retraining's gain",
            "found": round(share.share, 3),
            "interval": [round(share.interval.low, 3), round(share.interval.high, 3)],
            "wanted": RECOVERED,
            "holds": share.share >= RECOVERED,
            "judged": share.group == "all",
        }
        for share in found.recovered
        if share.arm == "speed" and share.group != "new items"
    ]


def against_oryx(found: Figures) -> list[dict[str, Any]]:
    """The speed layer's paired differences to Oryx's rule."""
    pairs = (one for one in found.differences if (one.arm, one.over) == ("speed", "oryx"))
    return [
        {"group": one.group, "metric": one.metric, "difference": one.difference, "interval": list(one.interval)}
        for one in pairs
    ]


def main() -> None:
    """Print the measurements; exit with 1 where a claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="u.data of MovieLens 100K; without it, the invented world alone")
    parser.add_argument("--no-world", action="store_true", help="leave the invented world out")
    parser.add_argument("--retrain-every", type=int, default=1_000)
    parser.add_argument("--events", type=int, help="replay at most so many of each")
    parser.add_argument("--seed", type=int, default=1, help="of the world, the trainings and the intervals")
    parser.add_argument("--trainer", default=Batch().trainer, help="whose loss")
    parser.add_argument("--model", default="{}", help='settings of that group as JSON, like {"features": 64}')
    parser.add_argument("--json", action="store_true", help="raw numbers with the machine")
    asked = parser.parse_args()
    model = msgspec.convert(
        {**msgspec.to_builtins(Model()), "seed": asked.seed, **json.loads(asked.model)}, Model, strict=False
    )
    trainer = Trainer(recipe_of(model, asked.trainer, Input()), len(os.sched_getaffinity(0)))
    logs = {"ml-100k": movielens(asked.data)} if asked.data else {}
    if not asked.no_world:
        logs["drifting world"] = drifting(DriftingWorld(seed=asked.seed))
    screen = Screen(out=sys.stderr if asked.json else sys.stdout)
    told: dict[str, Any] = {}
    judged: list[dict[str, Any]] = []
    for name, log in logs.items():
        trained = int(SHARE * len(log))
        log = log.first(trained + asked.events) if asked.events else log
        replay = Replay(log, trained, trainer, ARMS, every=asked.retrain_every)
        found = figures(replay.run(), asked.seed)
        screen.heading(name)
        screen.line(headline(trainer.recipe, replay.generation))
        show(screen, replay, found, asked.retrain_every)
        judged += claims(name, found)
        told[name] = as_object(replay, found, {"recipe": trainer.recipe}) | {"against_oryx": against_oryx(found)}
    screen.heading("Claims")
    for claim in judged:
        verdict = ("holds" if claim["holds"] else "FAILS") if claim["judged"] else "  -  "
        screen.line(f"{verdict}  {claim['claim']}: {claim['found']} {claim['interval']} (wanted: {claim['wanted']})")
    if not judged:
        screen.line("retraining gains nothing for sure: there is no share of it")
    if asked.json:
        machine = {
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "numpy": np.__version__,
        }
        print(msgspec.json.encode({"machine": machine, "replays": told, "claims": judged}).decode())
    sys.exit(not all(claim["holds"] for claim in judged if claim["judged"]))


if __name__ == "__main__":
    main()
