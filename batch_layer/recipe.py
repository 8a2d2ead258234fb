"""How a generation is made: what the settings say, as the trainer and the manifest take it."""

import math
from collections.abc import Callable, Iterator
from typing import Any, Final, Self

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

_WILD = 1000.0

_LAMBDAS: Final = {"ials": 1.2, "mllib": 0.3, "explicit": 0.13}
"""What `model.lambda = "auto"` is: by the trainer, or for ratings; measured as docs/decisions/0009 says."""


class Recipe(msgspec.Struct, frozen=True):
    """What a generation is a function of, besides the history; its manifest states all of it.

    ``alpha`` is what a pair of the mean strength weighs: then the objective's follows from the data (`fitted_to`),
    and before that it is 1. None: the objective's is what it is.
    """

    trainer: str
    features: int
    iterations: int
    seed: int
    objective: Objective
    fold: FoldSettings
    patience: int = 0
    warm_start: bool = False
    test_fraction: float = 0.0
    alpha: float | None = None

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """The trainer's own, which stand neither in the objective nor in the fold."""
        given: dict[str, Any] = {"iterations": self.iterations, "seed": self.seed}
        if self.trainer != "mllib":
            given |= {"patience": self.patience, "warm_start": self.warm_start}
        if self.test_fraction:  # training goes on from the evaluated model
            given["test_fraction"] = self.test_fraction
        if self.alpha is not None:
            given["alpha"] = self.alpha
        return given

    @property
    def warm_iterations(self) -> int:
        """Sweeps of a warm start: a third, where the settings leave it to a validation how many there are."""
        return max(1, -(-self.iterations // 3)) if self.patience else self.iterations

    def settings_of(self, objective: Objective) -> Objective:
        """Return an objective without what only the data tell, as it is here before `fitted_to`.

        What two generations by equal settings have in common; ``alpha`` is among the hyperparameters then.
        """
        found = objective.settings
        return found if self.alpha is None else msgspec.structs.replace(found, alpha=1.0)

    def fitted_to(self, strengths: NDArray[np.float64]) -> Self:
        """Return it with what only the data tell, of these folded strengths, float64[n].

        That is μ, where there are biases; and the objective's α, where this one is relative: over the mean of what the
        strengths that are not 0 weigh with α = 1. They may be mapped. The same strengths in the same order give the
        same bits.
        """
        objective = self.objective
        if objective.biases is not None:
            total = math.fsum(float(block.sum()) for block in _blocks(strengths))
            objective = objective.centred(total / max(1, len(strengths)))
        if self.alpha is not None:
            unit = msgspec.structs.replace(objective, alpha=1.0)
            objective = msgspec.structs.replace(objective, alpha=self.alpha / _mean_weight(strengths, unit))
        return self if objective is self.objective else msgspec.structs.replace(self, objective=objective)


def _blocks(strengths: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
    for at in range(0, len(strengths), _BLOCK):
        yield np.clip(strengths[at : at + _BLOCK], -LARGEST, LARGEST)


def _mean_weight(strengths: NDArray[np.float64], unit: Objective) -> float:
    """The mean of the weights above 0, 1 if there are none.

    What is more than `_WILD` times the square of the roots' mean counts as that much, lest one wild strength takes
    their weight from all others. The median, or the geometric mean, would be of pairs that have faded.
    """
    roots, count = _summed(strengths, unit, np.sqrt)
    if not count:
        return 1.0
    most = _WILD * (roots / count) ** 2
    total, _ = _summed(strengths, unit, lambda weights: np.minimum(weights, most))
    return max(total / count, 1 / LARGEST)  # lest α be more than a number can


def _summed(
    strengths: NDArray[np.float64], unit: Objective, of: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> tuple[float, int]:
    """The sum of a function of the weights above 0, and how many these are."""
    sums, count = [], 0
    for block in _blocks(strengths):
        weights, _, _ = unit.weights(block)
        weights = weights[weights > 0]
        sums.append(float(of(weights).sum()))
        count += len(weights)
    return math.fsum(sums), count


def recipe_of(model: Model, trainer: str, records: Input, test_fraction: float = 0.0) -> Recipe:
    """Return what the settings of the groups `model` and `input` mean to the trainer of this name.

    With biases vectors are two longer than `model.features`, and the objective's mean is 0 until the ratings are known.
    Our own trainer's `model.alpha` is for a pair of the mean strength, MLlib's for one of strength 1.
    """
    relative = trainer == "ials" and model.feedback == "implicit"
    return Recipe(
        trainer=trainer,
        features=model.features + (2 if model.biases else 0),
        iterations=model.iterations,
        seed=model.seed,
        patience=model.patience,
        warm_start=model.warm_start,
        test_fraction=test_fraction,
        alpha=model.alpha if relative else None,
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
    explicit = model.feedback == "explicit"
    form = "explicit" if explicit else "mllib" if trainer == "mllib" else "ials"
    lambda_ = _LAMBDAS[form] if model.lambda_ == "auto" else model.lambda_
    if model.biases:
        return Objective.biased_explicit(lambda_, Biases.last(model.features + 2))
    if explicit:
        return Objective.mllib_explicit(lambda_)
    if trainer == "mllib":
        return Objective.mllib_implicit(lambda_, model.alpha, model.log_strength, model.epsilon)
    alpha = 1.0 if trainer == "ials" else model.alpha
    return Objective.ials(model.unobserved_weight, lambda_, model.nu, alpha, model.log_strength, model.epsilon)
