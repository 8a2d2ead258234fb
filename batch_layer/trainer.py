"""Our own alternating least squares: the items' factors, in this process, on all of its cores."""

import os
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from batch_layer.engine import Cancelled
from batch_layer.recipe import LARGEST, Recipe
from oryx_py.model.csr import Csr
from oryx_py.numerics.als import Observed, Trained, observed, start, sweeps

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
    users = np.repeat(np.arange(len(histories), dtype=np.int64), np.diff(histories.indptr))
    strengths = np.clip(histories.strengths, -LARGEST, LARGEST)
    sides = observed(users, histories.indices, strengths, (len(histories), items), recipe.objective)
    run = sweeps(*sides, _begin(*sides, recipe), recipe.objective, threads=_cores())
    # BLAS adds in an order that depends on its threads; the kernel has all cores.
    with threadpool_limits(limits=1, user_api="blas"):
        for _ in range(recipe.iterations):
            found = next(run)
            if cancelled():
                raise Cancelled
    return found.items


def _begin(by_users: Observed, by_items: Observed, recipe: Recipe) -> Trained:
    """Return the random factors that training begins with, a function of the seed alone."""
    rng = np.random.default_rng(recipe.seed % 2**63)
    users, items = (start(side.rows, recipe.features, rng) for side in (by_users, by_items))
    return Trained(users, items)


def _cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
