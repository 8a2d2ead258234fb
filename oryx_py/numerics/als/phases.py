"""What half a sweep is made of: functions of a block of rows, the same bits wherever and in whatever order they run.

1. *basis*: from the Gram matrix of the fixed side, the basis in which it is diagonal;
2. *turned*: a block of the fixed side in that basis; nothing of 3 begins before all blocks are;
3. *improved*: a block of the other side in that basis, moved towards its solution, and its part of the next Gram
   matrix, which is summed in the order of the blocks.

Blocks follow from the pairs and the number of features alone, never from threads or tasks.
"""

from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from oryx_py.numerics.als.kernel import improve_rows, room
from oryx_py.numerics.als.matrix import Observed
from oryx_py.numerics.arrays import DoubleMatrix, FloatMatrix, FloatVector, IntVector
from oryx_py.numerics.biases import Side
from oryx_py.numerics.gram import eigenbasis, gram
from oryx_py.numerics.objective import Objective

__all__ = [
    "FEWEST_BLOCKS",
    "STEPS",
    "Block",
    "Half",
    "Turn",
    "block_gram",
    "blocks",
    "improved",
    "move",
    "summed",
    "turn_of",
    "turned",
]

T = TypeVar("T", bound=np.generic)

STEPS = 2
"""Of conjugate gradients a sweep. A third one lowers the loss after a sweep less than it costs."""

_ROUNDING = float(np.finfo(np.float32).eps)
"""Of the largest eigenvalue of a Gram matrix: less is rounding, where there are more features than rows. Without
regularisation a step by it would be as wrong as it is long, and has gone beyond float32 in some sweeps."""

_LEAST = 1 << 14
"""Pairs of a block; less would not be worth a call."""
_ROW = 8
"""Pairs that take as long as what a row takes without any."""
_MOST, FEWEST_BLOCKS = 256, 64
_GRAM_BYTES = 32 << 20
"""Of Gram matrices that are gathered at a time, where that leaves `FEWEST_BLOCKS`."""
_GRAM_ROWS = 4096


class Block(NamedTuple):
    """Rows ``first`` to ``last`` of a side."""

    first: int
    last: int


class Turn(NamedTuple):
    """What a half sweep goes by.

    ``basis`` float32[k, k] by columns, empty where factors stay as they are; ``prior`` float32[k], of the fixed side in
    it: g Λ. ``center`` float32[k] and ``held`` are the kernel's.
    """

    basis: FloatMatrix
    prior: FloatVector
    center: FloatVector
    held: int


class Half(NamedTuple):
    """What a half sweep leaves beside the rows.

    ``gram`` float64[k, k] of the rows as improved; ``before``: the loss as it was, without the fixed side's ridge;
    ``ridge``: ``Σ λ_u ‖x‖²`` of the rows as improved.
    """

    gram: DoubleMatrix
    before: float
    ridge: float


def blocks(indptr: IntVector, features: int) -> list[Block]:
    """Return blocks of about equal work, at least one."""
    rows = len(indptr) - 1
    most = int(np.clip(_GRAM_BYTES // (8 * features**2), FEWEST_BLOCKS, _MOST))
    work = int(indptr[-1]) + _ROW * rows
    count = int(np.clip(work // _LEAST, 1, most))
    edges = [_row_at(indptr, work * number // count) for number in range(count)]
    cuts = sorted({0, *edges, rows})
    return [Block(first, last) for first, last in pairwise(cuts)] or [Block(0, 0)]


def _row_at(indptr: IntVector, work: int) -> int:
    """The first row before which at least so much work lies; by bisection, since ``indptr`` may be mapped."""
    low, high = 0, len(indptr) - 1
    while low < high:
        middle = (low + high) // 2
        if int(indptr[middle]) + _ROW * middle < work:
            low = middle + 1
        else:
            high = middle
    return low


def turn_of(fixed: DoubleMatrix, objective: Objective, of: Side) -> Turn:
    """Return the basis in which the Gram matrix of the fixed side is diagonal, and its prior.

    ``of`` says which side is fixed. With biases, whose columns must stay what they are, nothing is turned.
    """
    k = len(fixed)
    if objective.biases is not None:
        center = objective.biases.of_nobody(k, "users" if of == "items" else "items")
        return Turn(np.empty((0, 0), np.float32), np.zeros(k, np.float32), center, objective.biases.column(of))
    Q = eigenbasis(fixed)
    values = np.einsum("ij,ij->j", Q, fixed @ Q)
    values = np.maximum(values, _ROUNDING * values.max(initial=0.0))
    return Turn(Q.astype(np.float32), (objective.g * values).astype(np.float32), np.zeros(k, np.float32), -1)


def turned(factors: FloatMatrix, block: Block, turn: Turn) -> FloatMatrix:
    """Return a block of factors in the basis, float32[last - first, k]; scores with others so turned do not change."""
    rows = factors[block.first : block.last]
    return np.asarray(rows @ turn.basis) if len(turn.basis) else np.array(rows)


def block_gram(rows: FloatMatrix) -> DoubleMatrix:
    """Return ``XᵀX`` of a block, float64[k, k]."""
    return gram(rows, _GRAM_ROWS)


def improved(
    side: Observed, rows: FloatMatrix, fixed: FloatMatrix, block: Block, turn: Turn, *, steps: int = STEPS
) -> tuple[FloatMatrix, Half]:
    """Move a block's rows towards their solutions against the fixed side.

    Args:
        side: whose pairs.
        rows: float32[m, k], where all rows stand, not turned yet.
        fixed: float32[r, k], the other side, turned.
        block: which rows.
        turn: the fixed side's.
        steps: of conjugate gradients.
    """
    X = turned(rows, block, turn)
    indptr, ridges = side.indptr[block.first : block.last + 1], side.ridges[block.first : block.last]
    pairs = replace(side, indptr=indptr, ridges=ridges)
    before, ridge = move(X, pairs, fixed, turn, steps=steps)
    return X, Half(block_gram(X), before, ridge)


def move(
    X: FloatMatrix,
    pairs: Observed,
    fixed: FloatMatrix,
    turn: Turn,
    sums: tuple[float, float] = (0.0, 0.0),
    *,
    steps: int = STEPS,
) -> tuple[float, float]:
    """Move rows in place, turned already, and return `Half`'s ``before`` and ``ridge``.

    Args:
        X: float32[m, k].
        pairs: of these m rows, which may begin anywhere among the indices.
        fixed: float32[r, k], the other side, turned.
        turn: the fixed side's.
        sums: of the rows before these in their block, so that a block in parts comes to the same bits.
        steps: of conjugate gradients.
    """
    return improve_rows(
        _frozen(pairs.indptr),
        _frozen(pairs.indices),
        _frozen(pairs.weights),
        _frozen(pairs.targets),
        turn.prior,
        _frozen(pairs.ridges),
        turn.center,
        turn.held,
        _frozen(fixed),
        steps,
        *sums,
        *room(X.shape[1]),
        X,
    )


def summed(parts: list[Half]) -> Half:
    """Return the whole half sweep's from its blocks' in their order."""
    first, *others = parts
    total, before, ridge = first.gram.copy(), first.before, first.ridge
    for part in others:
        total += part.gram
        before += part.before
        ridge += part.ridge
    return Half(total, before, ridge)


def _frozen(array: NDArray[T]) -> NDArray[T]:
    """The same values, not writeable, so that the kernel is compiled for one kind of array alone, mapped or not."""
    view = np.asarray(array).view()
    view.flags.writeable = False
    return view
