"""Sweeps over both sides, each an improvement of every row with the other side fixed."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from oryx_py.numerics.als.kernel import improve_rows
from oryx_py.numerics.als.matrix import Observed
from oryx_py.numerics.arrays import FloatMatrix
from oryx_py.numerics.gram import eigenbasis, gram
from oryx_py.numerics.objective import Objective

__all__ = ["Trained", "improved", "loss", "start", "sweeps"]

STEPS = 2
"""Of conjugate gradients a sweep. A third one lowers the loss after a sweep less than it costs."""

_CHUNKS_A_THREAD = 16


class Trained(NamedTuple):
    """Both sides' factors, float32[users, k] and float32[items, k], in one basis."""

    users: FloatMatrix
    items: FloatMatrix


def start(rows: int, features: int, rng: np.random.Generator) -> FloatMatrix:
    """Return random factors to begin with, float32[rows, features], of standard deviation 0.1/√k (Rendle 2021)."""
    return rng.standard_normal((rows, features), dtype=np.float32) * np.float32(0.1 / np.sqrt(features))


def improved(
    side: Observed, rows: FloatMatrix, fixed: FloatMatrix, objective: Objective, *, steps: int = STEPS, threads: int = 1
) -> tuple[FloatMatrix, FloatMatrix]:
    """Move every row towards the solution against the fixed side, and turn both into the fixed side's own basis.

    Scores do not change by the turning. The rows depend neither on how many threads there are nor on each other.

    Args:
        side: whose pairs.
        rows: float32[m, k], where they stand.
        fixed: float32[r, k], of the other side.
        objective: the one that weighed the pairs.
        steps: of conjugate gradients.
        threads: at work at the same time.

    Returns:
        The rows and the fixed side, float32, new.
    """
    G = gram(fixed)
    Q = eigenbasis(G)
    values = np.maximum(np.einsum("ij,ij->j", Q, G @ Q), 0.0)
    turn = Q.astype(np.float32)
    X, Y = rows @ turn, fixed @ turn
    prior = (objective.g * values).astype(np.float32)
    cuts = np.searchsorted(side.indptr, np.linspace(0, side.indptr[-1], threads * _CHUNKS_A_THREAD + 1))
    cuts[0], cuts[-1] = 0, side.rows

    def work(chunk: tuple[int, int]) -> None:
        improve_rows(side.indptr, side.indices, side.weights, side.targets, prior, side.ridges, Y, steps, *chunk, X)

    chunks = [(int(first), int(last)) for first, last in pairwise(cuts) if first < last]
    if threads == 1:
        for chunk in chunks:
            work(chunk)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, chunks))
    return X, Y


def sweeps(
    by_users: Observed,
    by_items: Observed,
    begin: Trained,
    objective: Objective,
    *,
    steps: int = STEPS,
    threads: int = 1,
) -> Iterator[Trained]:
    """Improve both sides again and again, users first; whoever asks decides when it is enough.

    ``begin`` may be random, or the factors of an earlier training.
    """
    users, items = begin
    while True:
        users, items = improved(by_users, users, items, objective, steps=steps, threads=threads)
        items, users = improved(by_items, items, users, objective, steps=steps, threads=threads)
        yield Trained(users, items)


def loss(by_users: Observed, by_items: Observed, factors: Trained, objective: Objective) -> float:
    """Return the objective's value: what the sweeps make smaller.

    ``Σ w (x·y − t/w)²`` over the observed pairs, without its constant, ``+ g Σ (x·y)²`` over all pairs,
    ``+ Σ λ_u ‖x_u‖² + Σ λ_i ‖y_i‖²``.
    """
    users, items = (side.astype(np.float64) for side in factors)
    rows = np.repeat(np.arange(by_users.rows), np.diff(by_users.indptr))
    scores = np.einsum("ij,ij->i", users[rows], items[by_users.indices])
    fit = by_users.weights.astype(np.float64) @ scores**2 - 2 * by_users.targets.astype(np.float64) @ scores
    everywhere = objective.g * float(((users.T @ users) * (items.T @ items)).sum())
    ridge = by_users.ridges @ (users**2).sum(axis=1) + by_items.ridges @ (items**2).sum(axis=1)
    return float(fit + everywhere + ridge)
