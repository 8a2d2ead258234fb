"""How a generation is made: what the settings say, as the trainer and the manifest take it."""

from typing import Any

import msgspec

from oryx_py.config import Model
from oryx_py.events.fold import FoldSettings
from oryx_py.numerics.objective import Objective

__all__ = ["Recipe", "recipe_of"]


class Recipe(msgspec.Struct, frozen=True):
    """What a generation is a function of, besides the history; its manifest states all of it."""

    trainer: str
    features: int
    iterations: int
    seed: int
    objective: Objective
    fold: FoldSettings

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """The trainer's own, which stand neither in the objective nor in the fold."""
        return {"iterations": self.iterations, "seed": self.seed}


def recipe_of(model: Model, trainer: str) -> Recipe:
    """Return what the settings of the group `model` mean to the trainer of this name."""
    objective = (
        Objective.mllib_implicit(model.lambda_, model.alpha, model.log_strength, model.epsilon)
        if model.feedback == "implicit"
        else Objective.mllib_explicit(model.lambda_)
    )
    return Recipe(
        trainer=trainer,
        features=model.features,
        iterations=model.iterations,
        seed=model.seed,
        objective=objective,
        fold=FoldSettings(feedback=model.feedback),
    )
