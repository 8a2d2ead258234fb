"""When to stop: the epochs of one training, and which of them was the best."""

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Epoch", "Plan", "best_of", "is_over"]


class Plan(NamedTuple):
    """How long to train.

    ``epochs`` at most. Where there is a validation, training ends when its score has not risen for ``patience`` epochs;
    0: it goes on to the end, and the last one counts.
    """

    epochs: int
    patience: int = 0


class Epoch(NamedTuple):
    """What is known of an epoch; ``score`` is the validation's, the higher the better, None where there is none."""

    number: int
    loss: float
    score: float | None = None


def best_of(course: Sequence[Epoch], plan: Plan) -> Epoch:
    """Return the epoch whose factors count: the first of the highest score, or the last."""
    if plan.patience and course[-1].score is not None:
        return max(course, key=lambda epoch: -float("inf") if epoch.score is None else epoch.score)
    return course[-1]


def is_over(course: Sequence[Epoch], plan: Plan) -> bool:
    """Whether no further epoch follows these; there may be none yet."""
    if not course:
        return False
    waited = course[-1].number - best_of(course, plan).number
    return course[-1].number >= plan.epochs or (plan.patience > 0 and waited >= plan.patience)
