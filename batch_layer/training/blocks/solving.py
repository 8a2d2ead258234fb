"""The users as they are published, solved exactly, where the items need not fit a task's memory."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from batch_layer.training.blocks.cutting import Cuts, Factors, Sources, edges_of
from batch_layer.training.blocks.gathering import gather
from batch_layer.training.blocks.portions import Histories, read_histories
from batch_layer.training.blocks.workers import RunGroups, assembled, handed_in
from batch_layer.training.job import Job
from oryx_py.model.files import create_array, map_array, write_array, write_span
from oryx_py.numerics.als.phases import Half, block_gram, summed
from oryx_py.numerics.als.portions import Group
from oryx_py.numerics.arrays import DoubleMatrix, FloatMatrix
from oryx_py.numerics.fold_in.batched import fold_in_many
from oryx_py.numerics.fold_in.dense import Prior
from oryx_py.numerics.objective import Objective

__all__ = ["solve_in_blocks"]

_ITEMS, _USERS = "published-items", "published-users"


def solve_in_blocks(job: Job, run: RunGroups, *, at: Sources, cuts: Cuts) -> int:
    """Write ``users.npy``, every user solved against the items as published, and its Gram matrix; returns the bytes.

    What comes out is what `batch_layer.spark.fitting.solve_users` makes, to the bit.
    """
    features = job.recipe.features
    items = handed_in(at, cuts.items, map_array(job.into / "items.npy", np.float32, (job.items, features)), _ITEMS)
    gram = np.array(map_array(job.into / "items.gram.npy", np.float64, (features, features)))
    users = Factors(_USERS, edges_of(cuts.users), features)
    solved = run(_Solve(at, items, users, gram, job.recipe.objective), cuts.users)
    total = summed([half for halves in solved for half in halves]).gram
    path = job.into / "users.npy"
    create_array(path, np.float32, (job.users, features))
    for first, rows in assembled(at, users):
        write_span(path, first, rows)
    write_array(job.into / "users.gram.npy", (total + total.T) / 2)
    for factors in (items, users):
        at.work.delete(factors.name)
    return path.stat().st_size


@dataclass(frozen=True, slots=True)
class _Solve:
    """The task: the users of a group, and their Gram matrices."""

    at: Sources
    items: Factors
    into: Factors
    gram: DoubleMatrix
    objective: Objective

    def __call__(self, group: Group) -> list[Half]:
        halves: list[Half] = []
        with threadpool_limits(limits=1, user_api="blas"):
            self.at.work.write(self.into.file(group.number), self._blocks(group, halves))
        return halves

    def _blocks(self, group: Group, halves: list[Half]) -> Iterator[FloatMatrix]:
        prior = Prior(self.gram, self.items.edges[-1], of="items")
        portions = iter(group.portions)
        rows, known, vectors = None, None, None
        for block in group.blocks:
            X, row = np.empty((block.last - block.first, self.items.features), np.float32), block.first
            while row < block.last:
                if rows is None or known is None or vectors is None or row >= rows.last:
                    rows, known, vectors = next(portions), None, None
                    known = read_histories(self.at.histories, "users", rows)
                    vectors = gather(self.at.work, self.items, known.wanted)
                stop = min(rows.last, block.last)
                X[row - block.first : stop - block.first] = self._solved(
                    known, vectors, row - rows.first, stop - rows.first, prior
                )
                row = stop
            halves.append(Half(block_gram(X), 0.0, 0.0))
            yield X

    def _solved(self, known: Histories, vectors: FloatMatrix, first: int, last: int, prior: Prior) -> FloatMatrix:
        indptr = known.indptr[first : last + 1]
        pairs = slice(int(indptr[0]), int(indptr[-1]))
        return fold_in_many(
            indptr - pairs.start, known.indices[pairs], known.strengths[pairs], vectors, prior, self.objective
        )
