"""The factors as they are published: items in their basis, users solved exactly against them."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from batch_layer.engine import Cancelled
from batch_layer.spark.session.tasks import Hands
from oryx_py.model.files import create_array, map_array, write_array, write_span
from oryx_py.model.generations.history_files import map_histories
from oryx_py.numerics.als.phases import Block, Half, block_gram, blocks, summed
from oryx_py.numerics.arrays import DoubleMatrix, FloatMatrix
from oryx_py.numerics.fold_in.batched import fold_in_many
from oryx_py.numerics.fold_in.dense import Prior
from oryx_py.numerics.gram import eigenbasis, gram
from oryx_py.numerics.objective import Objective

__all__ = ["publish_items", "solve_users"]

_ROWS = 1 << 16
"""That are turned at once."""

_TASKS = 4
"""For each core: the users' histories differ, and who has done his takes the next."""


def publish_items(trained: FloatMatrix, into: Path, objective: Objective) -> int:
    """Write ``items.npy`` and its Gram matrix, in the basis in which this is diagonal; returns the bytes.

    There the prior of every fold-in is diagonal; scores do not change, since the users follow. Explicit feedback has no
    prior to gain from it.
    """
    path = into / "items.npy"
    create_array(path, np.float32, trained.shape)
    # BLAS adds in an order that depends on its threads, and a generation must not depend on the number of cores.
    with threadpool_limits(limits=1, user_api="blas"):
        turn = None if objective.feedback == "explicit" else eigenbasis(gram(trained))
        for first in range(0, len(trained), _ROWS):
            block = trained[first : first + _ROWS]
            write_span(path, first, block if turn is None else (block.astype(np.float64) @ turn).astype(np.float32))
        write_array(into / "items.gram.npy", gram(map_array(path, np.float32, trained.shape)))
    return path.stat().st_size


def solve_users(hands: Hands, into: Path, objective: Objective, cancelled: Callable[[], bool] = lambda: False) -> int:
    """Write ``users.npy``, every user solved against the items as published, and its Gram matrix; returns the bytes.

    So folding a user's unchanged history in gives the published vector. Each depends on nothing but its own history.

    Raises:
        Cancelled: somebody asked for it.
    """
    items = map_array(into / "items.npy", np.float32, (None, None))
    features = items.shape[1]
    users, path = map_histories(into, "users"), into / "users.npy"
    create_array(path, np.float32, (len(users), features))
    ranges = blocks(users.indptr, features)
    groups = np.array_split(np.arange(len(ranges)), min(len(ranges), _TASKS * hands.at_once))
    if cancelled():
        raise Cancelled
    solve = partial(_solve, into=into, objective=objective)
    # Around all: who of several threads is done first would give BLAS its own threads back while others work.
    with threadpool_limits(limits=1, user_api="blas"):
        solved = hands(solve, [[ranges[number] for number in group.tolist()] for group in groups])
    write_array(into / "users.gram.npy", _symmetric(summed([half for halves in solved for half in halves]).gram))
    return path.stat().st_size


def _solve(group: Sequence[Block], *, into: Path, objective: Objective) -> list[Half]:
    """The task: users of ranges of rows, and their Gram matrices."""
    items = map_array(into / "items.npy", np.float32, (None, None))
    features = items.shape[1]
    prior = Prior(map_array(into / "items.gram.npy", np.float64, (features, features)), len(items), of="items")
    users, halves = map_histories(into, "users"), []
    with threadpool_limits(limits=1, user_api="blas"):
        for first, last in group:
            indptr = users.indptr[first : last + 1]
            pairs = slice(int(indptr[0]), int(indptr[-1]))
            indices, strengths = users.indices[pairs], users.strengths[pairs]
            found = fold_in_many(indptr - indptr[0], indices, strengths, items, prior, objective)
            write_span(into / "users.npy", first, found)
            halves.append(Half(block_gram(found), 0.0, 0.0))
    return halves


def _symmetric(matrix: DoubleMatrix) -> DoubleMatrix:
    return (matrix + matrix.T) / 2
