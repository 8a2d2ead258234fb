"""The factors as they are published: items in their basis, users solved exactly against them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from batch_layer.cores import cores
from batch_layer.engine import Cancelled
from batch_layer.spark.preparing.transposition import histories_of
from oryx_py.model.files import create_array, map_array, write_array, write_span
from oryx_py.numerics.cg import fold_in_many
from oryx_py.numerics.fold_in import Prior
from oryx_py.numerics.gram import eigenbasis, gram
from oryx_py.numerics.objective import Objective

__all__ = ["publish_items", "solve_users"]

_BLOCK = 1 << 16
"""Rows that are turned or solved at once."""


def publish_items(trained: NDArray[np.float32], into: Path, objective: Objective) -> int:
    """Write ``items.npy`` and its Gram matrix, in the basis in which this is diagonal; returns the bytes.

    There the prior of every fold-in is diagonal; scores do not change, since the users follow. Explicit feedback has no
    prior to gain from it.
    """
    path = into / "items.npy"
    create_array(path, np.float32, trained.shape)
    # BLAS adds in an order that depends on its threads, and a generation must not depend on the number of cores.
    with threadpool_limits(limits=1, user_api="blas"):
        turn = None if objective.feedback == "explicit" else eigenbasis(gram(trained))
        for first in range(0, len(trained), _BLOCK):
            block = trained[first : first + _BLOCK]
            write_span(path, first, block if turn is None else (block.astype(np.float64) @ turn).astype(np.float32))
        write_array(into / "items.gram.npy", gram(map_array(path, np.float32, trained.shape)))
    return path.stat().st_size


def solve_users(into: Path, objective: Objective, cancelled: Callable[[], bool] = lambda: False) -> int:
    """Write ``users.npy``, every user solved against the items as published, and its Gram matrix; returns the bytes.

    So folding a user's unchanged history in gives the published vector. Each depends on nothing but its own history.

    Raises:
        Cancelled: somebody asked for it.
    """
    items = map_array(into / "items.npy", np.float32, (None, None))
    features = items.shape[1]
    prior = Prior(map_array(into / "items.gram.npy", np.float64, (features, features)), len(items), of="items")
    users, path = histories_of(into, "users"), into / "users.npy"
    create_array(path, np.float32, (len(users), features))
    with threadpool_limits(limits=1, user_api="blas"):
        for first in range(0, len(users), _BLOCK):
            if cancelled():
                raise Cancelled
            indptr = users.indptr[first : first + _BLOCK + 1]
            pairs = slice(int(indptr[0]), int(indptr[-1]))
            solved = fold_in_many(
                indptr - indptr[0],
                users.indices[pairs],
                users.strengths[pairs],
                items,
                prior,
                objective,
                threads=cores(),
            )
            write_span(path, first, solved)
        write_array(into / "users.gram.npy", gram(map_array(path, np.float32, (len(users), features))))
    return path.stat().st_size
