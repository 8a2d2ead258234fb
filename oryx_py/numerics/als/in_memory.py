"""A whole training in this process's memory, in one call."""

import numpy as np

from oryx_py.numerics.als.matrix import Observed
from oryx_py.numerics.als.stopping import Plan
from oryx_py.numerics.als.sweeping import State, start
from oryx_py.numerics.als.threads import Threads
from oryx_py.numerics.als.training import Course, train
from oryx_py.numerics.arrays import FloatMatrix
from oryx_py.numerics.objective import Objective

__all__ = ["fitted"]


def fitted(
    users: Observed,
    items: Observed,
    features: int,
    objective: Objective,
    *,
    epochs: int,
    rng: np.random.Generator,
    threads: int = 1,
) -> tuple[FloatMatrix, FloatMatrix]:
    """Return the factors of users and items, float32[m, features] and float32[n, features], after so many epochs.

    Users stand as the last sweep left them, not solved to the end. BLAS should be limited to one thread.
    """
    with Threads(users, items, features, threads=threads) as workers:
        factors = start(items.rows, features, rng, objective.biases)
        begin = State(np.zeros((users.rows, features), np.float32), factors, workers.gram("items", factors))
        found = train(workers, Course(begin, begin), objective, Plan(epochs)).now
    return found.users, found.items
