"""Each trainer's own best hyperparameters: those known, and the search that finds them on a validation sample."""

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Final

import numpy as np

from tests.bench.batch.processes import Running
from tests.bench.batch.samples import Sample
from tests.bench.batch.scoring import ndcg_of

__all__ = ["GRIDS", "found_before", "search"]

GRIDS: Final[dict[str, dict[str, tuple[float, ...]]]] = {
    "oryx": {"alpha": (0.01, 1.0), "alpha0": (0.03, 0.3, 1.0, 2.0), "lambda_": (0.01, 0.02, 0.05), "nu": (1.0,)},
    "mllib": {"alpha": (0.3, 0.6, 1.0, 3.0, 10.0, 30.0), "lambda_": (0.1, 0.15, 0.3, 1.0)},
    "implicit": {"alpha": (0.3, 0.5, 1.0, 3.0, 10.0, 30.0), "lambda_": (0.1, 3.0, 10.0, 30.0)},
}
"""As many combinations for each. Ours has α0 and λ per α: the loss is the same but for what α0 |I| is beside n."""
EPOCHS: Final = (4, 6, 10, 12, 15)
_FIRST: Final = 8

_FOUND: Final[dict[tuple[str, str], dict[str, float]]] = {
    ("oryx", "810k"): {"alpha0": 0.03, "lambda_": 0.01, "epochs": 15},
    ("mllib", "810k"): {"alpha": 10.0, "lambda_": 1.0, "epochs": 15},
    ("implicit", "810k"): {"alpha": 10.0, "lambda_": 0.1, "epochs": 15},
    ("oryx", "ml100k"): {"alpha": 0.01, "alpha0": 0.02, "lambda_": 0.0005, "nu": 1.0, "epochs": 8},
    ("mllib", "ml100k"): {"alpha": 0.6, "lambda_": 0.15, "epochs": 15},
    ("implicit", "ml100k"): {"alpha": 0.3, "lambda_": 10.0, "epochs": 12},
}
"""By trainer and world, what a search on the validation sample found at 64 features, on ML-100K of as many combinations
for each (MLlib's objective by this project's solver); a world's name may have the features behind it: "810k/256"."""

_CARRIED: Final[dict[str, dict[str, float]]] = {
    "8.1m": {"alpha0": 0.03, "lambda_": 0.001, "epochs": 15},
    "20m": {"alpha0": 0.03, "lambda_": 0.004, "epochs": 15},
}
"""Ours for worlds with more items: with ν = 1, λ (n + α0 |I|) stays what it is for 810k, n the mean user's pairs. As it
is, λ would regularise ten times as much where there are ten times as many items, and leave nothing of the factors."""

_ELSE: Final[dict[str, dict[str, float]]] = {name: _FOUND[name, "810k"] for name in ("oryx", "mllib", "implicit")}


def found_before(trainer: str, world: str, features: int) -> tuple[dict[str, float], str]:
    """Return the hyperparameters of a trainer that are known for a world, and how they are known."""
    for name in (f"{world}/{features}", world):
        if (trainer, name) in _FOUND:
            return _FOUND[trainer, name], f"on the validation sample of {name}"
    if trainer == "oryx" and world in _CARRIED:
        return _CARRIED[world], "as for 810k, λ (n + α0 |I|) the same, not searched for here"
    return _ELSE[trainer], "as for 810k, not searched for here"


def search(trainer: Running, sample: Path, loaded: Sample, features: int) -> tuple[dict[str, float], list[str]]:
    """Return the best of the grid at 8 epochs, then of up to 15; and a line for each that was tried."""
    trainer.prepare(sample)
    tried: list[str] = []

    def score(parameters: dict[str, float]) -> float:
        factors = trainer.fit(features, parameters).factors
        found = ndcg_of(loaded, *(np.load(factors / name, mmap_mode="r") for name in ("users.npy", "items.npy")))
        tried.append(f"{trainer.name} {parameters}: {found:.4f}")
        return found

    best = max(grid(trainer.name), key=score)
    at_8 = {**best, "epochs": float(_FIRST)}
    best = max([at_8, *({**best, "epochs": float(epochs)} for epochs in EPOCHS)], key=score)
    return best, tried


def grid(name: str) -> Iterator[dict[str, float]]:
    """Every combination of a trainer's grid."""
    names = GRIDS[name]
    for values in product(*names.values()):
        given = dict(zip(names, values, strict=True))
        if name == "oryx":
            given |= {each: round(given[each] * given["alpha"], 9) for each in ("alpha0", "lambda_")}
        yield {**given, "epochs": float(_FIRST)}
