"""Our own alternating least squares: the items' factors, in this process, on all of its cores."""

import os
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from batch_layer.engine import Cancelled
from batch_layer.recipe import Recipe
from oryx_py.model.csr import Csr
from oryx_py.numerics.als import Course, Observed, Plan, State, Threads, start, train

__all__ = ["fitted_items"]


def fitted_items(
    histories: Csr, items: int, recipe: Recipe, *, cancelled: Callable[[], bool] = lambda: False
) -> NDArray[np.float32]:
    """Train on the users' histories; float32[items, features], 0 for an item without a pair to train on.

    The same histories, settings and seed give the same bits, however many cores there are.

    Args:
        histories: of the users; indices are rows of items, of which there are ``items``.
        items: how many.
        recipe: how to train.
        cancelled: asked after each sweep.

    Raises:
        Cancelled: somebody asked for it.
    """
    transposed = histories.transposed(items)
    by_users, by_items = (
        Observed.of(side.indptr, side.indices, side.strengths, others, recipe.objective)
        for side, others in ((histories, items), (transposed, len(histories)))
    )

    def ask(_: object) -> None:
        if cancelled():
            raise Cancelled

    # BLAS adds in an order that depends on its threads; the kernel has all cores.
    with (
        threadpool_limits(limits=1, user_api="blas"),
        Threads(by_users, by_items, recipe.features, threads=_cores()) as workers,
    ):
        rng = np.random.default_rng(recipe.seed % 2**63)
        factors = start(items, recipe.features, rng, recipe.objective.biases)
        users = np.zeros((len(histories), recipe.features), np.float32)
        begin = State(users, factors, workers.gram("items", factors))
        course = train(workers, Course(begin, begin), recipe.objective, Plan(recipe.iterations), after_epoch=ask)
    return course.best.items


def _cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
