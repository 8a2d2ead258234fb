"""The users whom a training does not see until its end, and how good the factors are for them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from batch_layer.training.job import Job
from oryx_py.model.generations.history_files import map_histories
from oryx_py.numerics.als import Epoch
from oryx_py.numerics.als.validation import HeldOut, hold_out, ndcg_at_10, rmse, sample
from oryx_py.numerics.arrays import BoolVector, DoubleMatrix, FloatMatrix

__all__ = ["Validation", "validation_of"]

_SAMPLE, _SPLIT = 1, 2
"""Purposes, see `Job.rng`."""


@dataclass(frozen=True, slots=True, eq=False)
class Validation:
    """Users held out, bool[users], and what is asked about them."""

    out: BoolVector
    held: HeldOut
    job: Job

    @property
    def metric(self) -> str:
        """What is measured: ranking for implicit feedback, ratings for explicit."""
        return "ndcg@10" if self.job.recipe.objective.feedback == "implicit" else "rmse"

    def score(self, threads: int) -> Callable[[FloatMatrix, DoubleMatrix], float]:
        """Return what `train` asks: the higher the better."""
        objective = self.job.recipe.objective
        if self.metric == "rmse":
            return lambda items, gram: -rmse(self.held, items, gram, objective, threads=threads)
        return lambda items, gram: ndcg_at_10(self.held, items, gram, objective, threads=threads)

    def value(self, epoch: Epoch) -> float | None:
        """Return an epoch's metric in its own sense."""
        return None if epoch.score is None else abs(epoch.score)

    def told(self, best: Epoch) -> dict[str, Any]:
        """Return what the manifest says."""
        return {
            "protocol": "strong generalisation: 80 % of held-out users' pairs folded in, the rest among all items",
            "users": len(self.held.users),
            self.metric: self.value(best),
        }


def validation_of(job: Job) -> Validation | None:
    """Choose users and split their histories; None where it is off, or there is too little to ask."""
    if not job.recipe.patience:
        return None
    histories = map_histories(job.into, "users")
    users = sample(histories.indptr, job.rng(_SAMPLE))
    if not len(users):
        return None
    positive = job.recipe.objective.feedback == "implicit"
    held = hold_out(users, histories.indptr, histories.indices, histories.strengths, job.rng(_SPLIT), positive=positive)
    if not len(held.targets):
        return None
    out = np.zeros(job.users, np.bool_)
    out[users] = True
    return Validation(out, held, job)
