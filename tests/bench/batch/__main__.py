"""How long training takes, and how good it is: ours beside Spark MLlib's ALS and benfred/implicit, in one run.

Each trainer is a process of its own, warmed up on a tiny world, and trains on the same pairs with as many features and
with its own best hyperparameters of up to 15 epochs (known from `--tune`, which searches anew on a validation sample
taken from what is trained on). They train in turn, in several rounds. "seconds" are those from prepared matrices to
factors: session and preparation stand apart. CPU seconds are of all processes of a trainer, so they say what other work
on the machine hides. nDCG@10 ranks all items for the tested users against what they did last; ours is set beside each
other's user by user, with the 95 % interval of the bootstrap over users.

    python -m tests.bench.batch                               810k at 64 and 256 features, ML-100K where --data says
    python -m tests.bench.batch --worlds 810k,8.1m --trainers oryx --features 64      ten times as much of everything
    python -m tests.bench.batch --worlds 20m --driver-memory 6g --rounds 1 --json
    python -m tests.bench.batch --features 256 --mllib-epochs 2      MLlib's 15 take an hour there: a lower bound
    python -m tests.bench.batch --quick                       a minute, to see that it runs

`implicit` is no part of the project: `pip install implicit`, or it is left out. MLlib takes half its time where Spark
finds a native LAPACK (Debian: `apt install libopenblas0`; what it found is printed as its algebra), run with
`OPENBLAS_NUM_THREADS=1`, for its tasks have all cores.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batch_layer.host.cores import cores
from oryx_py.errors import UserError
from tests.bench.batch.processes import Fit, Running
from tests.bench.batch.report import judged, table
from tests.bench.batch.samples import WORLDS, Sample, movielens, world_sample
from tests.bench.batch.scoring import difference, gains_of, popularity_ndcg
from tests.bench.batch.trainers import TRAINERS, missing
from tests.bench.batch.tuning import found_before, search


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark."""
    options = _options(arguments)
    say = (lambda text: None) if options.quiet else (lambda text: print(text, file=sys.stderr, flush=True))
    names = []
    for name in options.trainers:
        if lack := missing(name):
            print(lack, file=sys.stderr)
        else:
            names.append(name)
    folder = Path(tempfile.mkdtemp(prefix="oryx-batch-bench-"))
    try:
        with ExitStack() as running:
            trainers = {name: running.enter_context(Running(name, options.driver_memory)) for name in names}
            found: dict[str, Any] = {
                "machine": _machine(),
                "sessions_s": {name: round(trainer.session_s, 2) for name, trainer in trainers.items()},
                "algebra": {name: trainer.algebra for name, trainer in trainers.items()},
                "worlds": {},
            }
            _warm_up(trainers, folder, say)
            for world in options.worlds:
                found["worlds"][world] = _world(world, trainers, folder / "sample", options, say)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    found["claims"] = judged(found["worlds"])
    print(json.dumps(found) if options.json else table(found))
    return 0


def _world(
    name: str, trainers: dict[str, Running], folder: Path, options: argparse.Namespace, say: Any
) -> dict[str, Any]:
    final, validation = movielens(options.data) if name == "ml100k" else world_sample(WORLDS[name])
    final.save(folder / "final")
    validation.save(folder / "validation")
    found: dict[str, Any] = {
        "users": final.users,
        "items": final.items,
        "pairs": final.train.pairs,
        "tested_users": len(final.tested),
        "popularity_ndcg": round(popularity_ndcg(final), 4),
        "prepare_s": {},
        "features": {},
    }
    for features in options.features:
        chosen = {}
        for trainer in trainers.values():
            parameters, how = found_before(trainer.name, name, features)
            if options.tune:
                parameters, tried = search(trainer, folder / "validation", validation, features)
                how = "searched for in this run"
                say("\n".join(tried))
            cut_short = trainer.name == "mllib" and options.mllib_epochs < parameters["epochs"]
            if cut_short:
                parameters = {**parameters, "epochs": options.mllib_epochs}
            chosen[trainer.name] = (parameters, how, cut_short)
            found["prepare_s"][trainer.name] = round(trainer.prepare(folder / "final"), 2)
        rounds: dict[str, list[Fit]] = {trainer: [] for trainer in trainers}
        gains: dict[str, NDArray[np.float64]] = {}
        for _ in range(options.rounds):
            for trainer in trainers.values():
                fit = trainer.fit(features, chosen[trainer.name][0])
                if trainer.name not in gains:
                    gains[trainer.name] = _gains(final, fit)
                rounds[trainer.name].append(fit)
                say(
                    f"{name} d={features} {trainer.name}: {fit.seconds['total']:.2f} s, {fit.cpu_s:.1f} CPU s, "
                    f"nDCG@10 {gains[trainer.name].mean():.4f}"
                )
        found["features"][str(features)] = {
            trainer: _summary(fits, gains[trainer], *chosen[trainer], final.train.pairs)
            for trainer, fits in rounds.items()
        }
        for other in gains.keys() - {"oryx"} if "oryx" in gains else ():
            more, within = difference(gains["oryx"], gains[other])
            found["features"][str(features)][other]["ours_is_better_by"] = [round(each, 4) for each in (more, *within)]
    return found


def _gains(sample: Sample, fit: Fit) -> NDArray[np.float64]:
    return gains_of(sample, *(np.load(fit.factors / file, mmap_mode="r") for file in ("users.npy", "items.npy")))


def _summary(
    fits: list[Fit],
    gains: NDArray[np.float64],
    parameters: dict[str, float],
    how: str,
    cut_short: bool,
    pairs: int,
) -> dict[str, Any]:
    totals = [fit.seconds["total"] for fit in fits]
    seconds = statistics.median(totals)
    return {
        "seconds": round(seconds, 3),
        "seconds_rounds": [round(total, 3) for total in totals],
        "cpu_s": round(statistics.median(fit.cpu_s for fit in fits), 2),
        "epochs": int(parameters["epochs"]),
        "s_an_epoch": round(seconds / parameters["epochs"], 3),
        "steps_s": {step: round(each, 3) for step, each in fits[-1].seconds.items() if step != "total"},
        "ndcg_at_10": round(float(gains.mean()), 4),
        "peak_mib": round(max(fit.peak_bytes for fit in fits) / 2**20),
        "before_mib": round(min(fit.before_bytes for fit in fits) / 2**20),
        "ns_a_pair_and_epoch": round(seconds / parameters["epochs"] / pairs * 1e9, 1),
        "hyperparameters": parameters,
        "found": how,
        "cut_short": cut_short,
    }


def _warm_up(trainers: dict[str, Running], folder: Path, say: Any) -> None:
    """Compile what is compiled, start what is started once; none of it is part of a training."""
    tiny, _ = world_sample(WORLDS["tiny"])
    tiny.save(folder / "tiny")
    for trainer in trainers.values():
        trainer.prepare(folder / "tiny")
        trainer.fit(16, {**found_before(trainer.name, "tiny", 16)[0], "epochs": 2})
        say(f"{trainer.name} is warm")


def _machine() -> dict[str, Any]:
    versions = {}
    for name in ("numpy", "numba", "pyspark", "implicit"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {"cores": cores(), "load": os.getloadavg()[0], "python": platform.python_version(), **versions}


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", help=f"of {', '.join(WORLDS)} and ml100k (810k; with --data also ml100k)")
    parser.add_argument("--data", type=Path, help="MovieLens' u.data, for ml100k")
    parser.add_argument("--features", help="(64,256)")
    parser.add_argument("--trainers", default=",".join(TRAINERS), help=f"({','.join(TRAINERS)})")
    parser.add_argument("--rounds", type=int, help="of each (3)")
    parser.add_argument("--driver-memory", default="2g", help="of Spark (2g, as in batch.spark)")
    parser.add_argument(
        "--mllib-epochs", type=int, default=15, help="no more than so many of MLlib's: its time is then a lower bound"
    )
    parser.add_argument("--tune", action="store_true", help="search for hyperparameters first; takes long")
    parser.add_argument("--quick", action="store_true", help="a tiny world, 16 features, one round")
    parser.add_argument("--quiet", action="store_true", help="nothing while it runs")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    worlds = options.worlds or ("tiny" if options.quick else "810k,ml100k" if options.data else "810k")
    options.worlds = worlds.split(",")
    features = options.features or ("16" if options.quick else "64,256")
    options.features = [int(each) for each in features.split(",")]
    options.rounds = options.rounds or (1 if options.quick else 3)
    options.trainers = options.trainers.split(",")
    for given, known in ((options.worlds, [*WORLDS, "ml100k"]), (options.trainers, list(TRAINERS))):
        if unknown := [each for each in given if each not in known]:
            parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(known)}")
    if "ml100k" in options.worlds and options.data is None:
        parser.error("ml100k needs --data with MovieLens' u.data")
    return options


if __name__ == "__main__":
    sys.exit(main())
