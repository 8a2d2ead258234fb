"""How a generation is made: what the settings say, as the trainer and the manifest take it."""

import math
from typing import Any, Self

import msgspec
import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from oryx_py.config import Input, Kind, Model
from oryx_py.events.fold import FoldSettings, KindSettings
from oryx_py.numerics.als import LARGEST
from oryx_py.numerics.biases import Biases
from oryx_py.numerics.objective import Objective

__all__ = ["LARGEST", "Recipe", "recipe_of"]

_BLOCK = 1 << 20


class Recipe(msgspec.Struct, frozen=True):
    """What a generation is a function of, besides the history; its manifest states all of it."""

    trainer: str
    features: int
    iterations: int
    seed: int
    objective: Objective
    fold: FoldSettings
    patience: int = 0
    warm_start: bool = False
    test_fraction: float = 0.0

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """The trainer's own, which stand neither in the objective nor in the fold."""
        given: dict[str, Any] = {"iterations": self.iterations, "seed": self.seed}
        if self.trainer != "mllib":
            given |= {"patience": self.patience, "warm_start": self.warm_start}
        if self.test_fraction:  # training goes on from the evaluated model
            given["test_fraction"] = self.test_fraction
        return given

    def centred(self, strengths: NDArray[np.float64]) -> Self:
        """Return it with what only the data tell: μ, where there are biases, of these folded strengths, float64[n].

        They may be mapped. The same strengths in the same order give the same bits.
        """
        if self.objective.biases is None:
            return self
        blocks = range(0, len(strengths), _BLOCK)
        total = math.fsum(float(np.clip(strengths[at : at + _BLOCK], -LARGEST, LARGEST).sum()) for at in blocks)
        return msgspec.structs.replace(self, objective=self.objective.centred(total / max(1, len(strengths))))


def recipe_of(model: Model, trainer: str, records: Input, test_fraction: float = 0.0) -> Recipe:
    """Return what the settings of the groups `model` and `input` mean to the trainer of this name.

    With biases vectors are two longer than `model.features`, and the objective's mean is 0 until the ratings are known.
    """
    return Recipe(
        trainer=trainer,
        features=model.features + (2 if model.biases else 0),
        iterations=model.iterations,
        seed=model.seed,
        patience=model.patience,
        warm_start=model.warm_start,
        test_fraction=test_fraction,
        objective=_objective(model, trainer),
        fold=FoldSettings(
            feedback=model.feedback,
            dedupe_window_s=records.dedupe_window_s,
            dedupe_records=records.dedupe_records,
            half_life_s=model.half_life_h * 3600,
            kinds={name: _kind(kind, model) for name, kind in records.kinds.items()},
            zero_threshold=model.zero_threshold,
            max_age_s=model.max_age_h * 3600,
        ),
    )


def _kind(kind: Kind, model: Model) -> KindSettings:
    half_life_h = model.half_life_h if kind.half_life_h is UNSET else kind.half_life_h
    return KindSettings(kind.weight, half_life_h * 3600)


def _objective(model: Model, trainer: str) -> Objective:
    if model.biases:
        return Objective.biased_explicit(model.lambda_, Biases.last(model.features + 2))
    if model.feedback == "explicit":
        return Objective.mllib_explicit(model.lambda_)
    if trainer == "mllib":
        return Objective.mllib_implicit(model.lambda_, model.alpha, model.log_strength, model.epsilon)
    return Objective.ials(
        model.unobserved_weight, model.lambda_, model.nu, model.alpha, model.log_strength, model.epsilon
    )
