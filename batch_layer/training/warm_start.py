"""Factors to begin with: the last generation's, by ID; what is new begins by what is known of it."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from batch_layer.recipe import Recipe
from batch_layer.training.job import Job
from oryx_py.errors import CorruptGeneration, UnsupportedFormat
from oryx_py.model.files import map_array
from oryx_py.model.generations.history_files import map_histories
from oryx_py.model.generations.manifest import MANIFEST, read_manifest
from oryx_py.model.ids.id_table import id_files
from oryx_py.numerics.als import SideName, start
from oryx_py.numerics.arrays import FloatMatrix, IntVector
from oryx_py.numerics.fold_in.batched import fold_in_many
from oryx_py.numerics.fold_in.dense import Prior
from oryx_py.numerics.gram import gram

__all__ = ["Beginning", "begin", "known_rows", "starts_warm"]

_START = 0
"""The random start's purpose, see `Job.rng`."""

_ROWS = 1 << 16
"""That are copied or folded in at a time: factors may be mapped, and larger than the memory."""


class Beginning(NamedTuple):
    """Both sides' factors in one basis, float32, and whether they come from a generation."""

    users: FloatMatrix
    items: FloatMatrix
    warm: bool


def begin(job: Job, *, threads: int, make: Callable[[SideName], FloatMatrix] | None = None) -> Beginning:
    """Return factors to begin with.

    From a parent of the same objective: users and items that it knows as they are there, where both are in one basis;
    new items folded in from those of their users that it knows; new users at 0, since users are improved first. Without
    one, or one of other vectors: users at 0, items at random.

    ``make`` gives float32[rows, k] of zeros for a side, perhaps mapped; None: in memory.
    """
    biases, features = job.recipe.objective.biases, job.recipe.features
    users, items = (
        make(side) if make else np.zeros((job.rows(side), features), np.float32) for side in ("users", "items")
    )
    start(job.items, features, job.rng(_START), biases, out=items)
    if biases is not None:
        users += biases.of_nobody(features, "users")
    published = _published(job)
    if job.parent is None or published is None:
        return Beginning(users, items, warm=False)
    their_users, their_items = published
    _take(users, their_users, *known_rows(job.into, job.parent, "users"))
    here, there = known_rows(job.into, job.parent, "items")
    _take(items, their_items, here, there)
    new = np.ones(job.items, np.bool_)
    new[here] = False
    rows = np.flatnonzero(new)
    if users.any():
        prior = Prior(gram(users), len(users), of="users")
        for first in range(0, len(rows), _ROWS):
            _fold_in_new(job, users, items, rows[first : first + _ROWS], prior, threads)
    return Beginning(users, items, warm=True)


def _take(ours: FloatMatrix, theirs: FloatMatrix, here: IntVector, there: IntVector) -> None:
    for first in range(0, len(here), _ROWS):
        ours[here[first : first + _ROWS]] = theirs[there[first : first + _ROWS]]


def starts_warm(job: Job) -> bool:
    """Whether there are factors to begin with."""
    return _published(job) is not None


def _published(job: Job) -> tuple[FloatMatrix, FloatMatrix] | None:
    """The parent's factors; None if there is none, or it is not whole, or of other settings."""
    if job.parent is None or not _is_for_the_same(job.parent, job.recipe):
        return None
    shape, biases = (None, job.recipe.features), job.recipe.objective.biases
    try:
        users, items = (map_array(job.parent / f"{side}.npy", np.float32, shape) for side in ("users", "items"))
    except CorruptGeneration:
        return None
    return (users, items) if biases is None or biases.are_in(users, items) else None


def _is_for_the_same(parent: Path, recipe: Recipe) -> bool:
    """Whether a generation was trained for this objective; what has no manifest was so a moment ago, by this run.

    Vectors that are good by another objective are no beginning: what came of it would hang on settings of the past for
    as many sweeps as a start at random takes, and more than a warm start has.
    """
    if not (parent / MANIFEST).exists():
        return True
    try:
        before = read_manifest(parent / MANIFEST)
    except (CorruptGeneration, UnsupportedFormat):
        return False
    same = recipe.settings_of(before.objective) == recipe.settings_of(recipe.objective)
    return same and before.hyperparameters.get("alpha") == recipe.alpha


def known_rows(ours: Path, theirs: Path, side: SideName) -> tuple[IntVector, IntVector]:
    """Return the rows of the IDs that two directories have in common, in the one and in the other, int64[n] each.

    By the hashes alone: of 10 million IDs on both sides, a pair is taken for the same wrongly once in 200,000
    generations, and that one would begin with another's vector.
    """
    (our_hashes, our_rows), (their_hashes, their_rows) = (_table(directory, side) for directory in (ours, theirs))
    at = np.searchsorted(their_hashes, our_hashes)
    there = at < len(their_hashes)
    there[there] = their_hashes[at[there]] == our_hashes[there]
    return our_rows[there].astype(np.int64), their_rows[at[there]].astype(np.int64)


def _table(directory: Path, side: SideName) -> tuple[NDArray[np.uint64], NDArray[np.int32]]:
    _, _, hashes, rows = (directory / file for file in id_files(side))
    return map_array(hashes, np.uint64, (None,)), map_array(rows, np.int32, (None,))


def _fold_in_new(job: Job, users: FloatMatrix, items: FloatMatrix, new: IntVector, prior: Prior, threads: int) -> None:
    """Put the solution against the known users in the place of new items, where these have any."""
    histories = map_histories(job.into, "items")
    sizes = np.diff(histories.indptr)[new]
    indptr = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    pairs = np.repeat(histories.indptr[new] - indptr[:-1], sizes) + np.arange(indptr[-1])
    strengths = np.asarray(histories.strengths[pairs])
    indices = np.asarray(histories.indices[pairs])
    found = fold_in_many(indptr, indices, strengths, users, prior, job.recipe.objective, threads=threads)
    # Of those who are known to nobody else the biases alone would be solved: the factors have to begin at random.
    biases = job.recipe.objective.biases
    solved = found[:, : None if biases is None else biases.user].any(axis=1)
    items[new[solved]] = found[solved]
