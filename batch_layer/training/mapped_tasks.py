"""What tasks do of some blocks of rows where all factors are mapped: from files into spans of a file."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from batch_layer.training.job import Job
from oryx_py.model.files import map_array, write_span
from oryx_py.model.generations.history_files import map_histories
from oryx_py.numerics.als import Observed, SideName, weighed
from oryx_py.numerics.als.phases import Block, Half, Turn, block_gram, improved, turned
from oryx_py.numerics.arrays import FloatMatrix

__all__ = ["WEIGHED", "gram_blocks", "improve_blocks", "map_factors", "turn_blocks", "weigh_blocks", "weights_path"]

WEIGHED = (("weights", "pairs"), ("targets", "pairs"), ("ridges", "rows"))
"""What is weighed once for each training, and whether there is one of it for each pair or each row."""


def weights_path(job: Job, side: SideName, name: str, kind: str) -> Path:
    """Return where weights, targets or ridges of a side are."""
    return job.work / f"{name}-{side}-{kind}.npy"


def map_factors(path: Path) -> FloatMatrix:
    """Map factors, float32[rows, k]."""
    return map_array(path, np.float32, (None, None))


def weigh_blocks(group: Sequence[Block], *, job: Job, side: SideName, name: str, out: Path | None) -> list[Half]:
    """The task: weights, targets and ridges of ranges of rows."""
    users = None if out is None else map_array(out, np.bool_, (None,))
    histories = map_histories(job.into, side)
    others = job.items if side == "users" else job.users
    for first, last in group:
        indptr = histories.indptr[first : last + 1]
        span = slice(int(indptr[0]), int(indptr[-1]))
        of_rows = users[first:last] if side == "users" and users is not None else None
        found = weighed(
            indptr - indptr[0],
            histories.indices[span],
            histories.strengths[span],
            others,
            job.recipe.objective,
            rows_out=of_rows,
            others_out=users if side == "items" else None,
        )
        for (kind, of), values in zip(WEIGHED, found, strict=True):
            write_span(weights_path(job, side, name, kind), span.start if of == "pairs" else first, values)
    return []


def turn_blocks(group: Sequence[Block], *, factors: Path, path: Path, turn: Turn) -> list[Half]:
    """The task: factors of ranges of rows in another basis."""
    before = map_factors(factors)
    with threadpool_limits(limits=1, user_api="blas"):
        for block in group:
            write_span(path, block.first, turned(before, block, turn))
    return []


def improve_blocks(
    group: Sequence[Block],
    *,
    job: Job,
    side: SideName,
    name: str,
    rows: Path,
    fixed: Path,
    path: Path,
    turn: Turn,
) -> list[Half]:
    """The task: half a sweep of ranges of rows."""
    histories = map_histories(job.into, side)
    weights, targets, ridges = (
        map_array(weights_path(job, side, name, kind), np.float32, (None,)) for kind, _ in WEIGHED
    )
    others = job.items if side == "users" else job.users
    pairs = Observed(histories.indptr, histories.indices, weights, targets, ridges, others)
    before, other = map_factors(rows), map_factors(fixed)
    halves = []
    with threadpool_limits(limits=1, user_api="blas"):
        for block in group:
            found, half = improved(pairs, before, other, block, turn)
            write_span(path, block.first, found)
            halves.append(half)
    return halves


def gram_blocks(group: Sequence[Block], *, factors: Path) -> list[Half]:
    """The task: Gram matrices of ranges of rows."""
    rows = map_factors(factors)
    with threadpool_limits(limits=1, user_api="blas"):
        return [Half(block_gram(rows[block.first : block.last]), 0.0, 0.0) for block in group]
