"""A training from its beginning to the items' factors."""

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from oryx_py.numerics.als.matrix import Observed
from oryx_py.numerics.als.stopping import Epoch, Plan, best_of, is_over
from oryx_py.numerics.als.sweeping import State, Workers, sweep
from oryx_py.numerics.arrays import DoubleMatrix, FloatMatrix
from oryx_py.numerics.objective import Objective

__all__ = ["Course", "Score", "loss", "train"]

F = TypeVar("F")

Score = Callable[[FloatMatrix, DoubleMatrix], float]
"""Says how good items' factors are, given their Gram matrix; the higher the better."""


class Course(NamedTuple, Generic[F]):
    """How far a training has come: where it stands, the best so far (itself, where nothing says which), its epochs."""

    now: State[F]
    best: State[F]
    epochs: tuple[Epoch, ...] = ()


def train(
    workers: Workers[F],
    course: Course[F],
    objective: Objective,
    plan: Plan,
    *,
    score: Score | None = None,
    after_epoch: Callable[[Course[F]], None] = lambda _: None,
) -> Course[F]:
    """Sweep until the plan is fulfilled.

    Args:
        workers: who sweep.
        course: where to begin: without epochs, or as it was given to ``after_epoch`` before.
        objective: what to make smaller.
        plan: when to stop.
        score: the validation.
        after_epoch: is told after each epoch, and ends the training by raising.
    """
    while not is_over(course.epochs, plan):
        state, loss_ = sweep(workers, course.now, objective)
        found = None if score is None else score(workers.read(state.items), state.gram)
        epochs = (*course.epochs, Epoch(len(course.epochs) + 1, loss_, found))
        best = state if best_of(epochs, plan) is epochs[-1] else course.best
        course = Course(state, best, epochs)
        workers.keep(course.now, course.best)
        after_epoch(course)
    return course


def loss(by_users: Observed, by_items: Observed, users: FloatMatrix, items: FloatMatrix, objective: Objective) -> float:
    """Return the objective's value: what the sweeps make smaller; term by term, to check them.

    ``Σ w (x·y − t/w)²`` over the observed pairs, without its constant, ``+ g Σ (x·y)²`` over all pairs,
    ``+ Σ λ_u ‖x_u‖² + Σ λ_i ‖y_i‖²``, of biases and factors alone.
    """
    X, Y = users.astype(np.float64), items.astype(np.float64)
    biases = objective.biases
    rows = np.repeat(np.arange(by_users.rows), np.diff(by_users.indptr))
    scores = np.einsum("ij,ij->i", X[rows], Y[by_users.indices])
    fit = by_users.weights.astype(np.float64) @ scores**2 - 2 * by_users.targets.astype(np.float64) @ scores
    everywhere = objective.g * float(((X.T @ X) * (Y.T @ Y)).sum())
    if biases is not None:
        X, Y = X - biases.of_nobody(X.shape[1], "users"), Y - biases.of_nobody(Y.shape[1], "items")
    ridge = by_users.ridges @ (X**2).sum(axis=1) + by_items.ridges @ (Y**2).sum(axis=1)
    return float(fit + everywhere + ridge)
