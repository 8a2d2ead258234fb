"""The compiled half of a sweep: some steps of conjugate gradients towards each row's solution, from where it stands.

A row's system is ``A = D + Σ w_i y_i y_iᵀ``, ``b = Σ t_i y_i``, in the basis in which the Gram matrix of the fixed side
is diagonal, so that ``D = g Λ + λ_u`` is, too: a step is one pass over the row's pairs, 4 n k operations, however many
rows the fixed side has. The preconditioner is A's own diagonal.

The sweeps converge together with the rows, so one or two steps a sweep do; what solves a row to the end is
`oryx_py.numerics.fold_in.batched`. Everything is float32; a row depends on its own pairs and the fixed side alone.

What takes the time is fetching vectors from all over the fixed side. So a row's are copied side by side first, in a
loop that does nothing else, and many fetches are under way at once; and every step takes some of them, which share
the loads of what they are multiplied with (`oryx_py.numerics.compiled.lanes`). While a row is worked on the next
one's vectors are asked for already.

Conjugate gradients for ALS: Takács, Pilászy & Tikk 2011, "Applications of the conjugate gradient method for implicit
feedback collaborative filtering".
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from oryx_py.numerics.arrays import FloatMatrix, FloatVector, IntVector
from oryx_py.numerics.compiled.aligned import aligned
from oryx_py.numerics.compiled.compiling import lean, lean_part
from oryx_py.numerics.compiled.lanes import LANES, ROWS, add_products, add_squares, compare
from oryx_py.numerics.compiled.prefetching import prefetch

TILE_BYTES = 1 << 19
"""Of a row's vectors that are copied side by side: about half of what a core's own cache holds."""

AHEAD = 128
"""Pairs between one that is worked on and one whose vector is asked for: far enough that it is there when its turn
comes, and near enough that it is still there."""

LINE = 16
"""Floats of a cache line."""

TINY = np.float32(1e-30)
"""A squared residual of less is none."""


class Tile(NamedTuple):
    """Pairs of one row side by side: vectors float32[t, K], filled up with zeros on the right; weights and targets."""

    Y: FloatMatrix
    w: FloatVector
    t: FloatVector


class Scratch(NamedTuple):
    """Of one row, each float32[K], with zeros beyond the features; ``fit`` float32[ROWS]."""

    x: FloatVector
    r: FloatVector
    p: FloatVector
    v: FloatVector
    diagonal: FloatVector
    inverse: FloatVector
    fit: FloatVector


@lean_part
def gather(
    factors: FloatMatrix, indices: NDArray[np.int32], w: FloatVector, t: FloatVector, first: int, n: int, tile: Tile
) -> None:
    """Copy n pairs into the tile, and zeros up to a multiple of `ROWS`."""
    k = factors.shape[1]
    for i in range(n):
        row = indices[first + i]
        for j in range(k):
            tile.Y[i, j] = factors[row, j]
    for i in range(n):
        tile.w[i], tile.t[i] = w[first + i], t[first + i]
    for i in range(n, (n + ROWS - 1) // ROWS * ROWS):
        tile.w[i] = tile.t[i] = 0
        for j in range(k):
            tile.Y[i, j] = 0


@lean_part
def ask(factors: FloatMatrix, indices: NDArray[np.int32], i: int) -> None:
    """Have the vector of pair i fetched, if there is such a pair."""
    if i < len(indices):
        row = indices[i]
        j = 0
        while j < factors.shape[1]:
            prefetch(factors, row, j)
            j += LINE


@lean_part
def add_residual(
    tile: Tile, n: int, row: Scratch, factors: FloatMatrix, indices: NDArray[np.int32], first: int
) -> float:
    """Add n pairs' part to the residual r of x, and to A's diagonal, ``inverse``; returns ``Σ w (x·y)² - 2 t x·y``.

    Meanwhile vectors are fetched for the rows that follow.
    """
    for i in range(len(row.fit)):
        row.fit[i] = 0
    for i in range(0, n, ROWS):
        for ahead in range(AHEAD, AHEAD + ROWS):
            ask(factors, indices, first + i + ahead)
        compare(tile.Y, i, tile.w, tile.t, row.x, row.r, row.fit)
        add_squares(tile.Y, i, tile.w, row.inverse)
    gained = 0.0
    for i in range(len(row.fit)):
        gained += row.fit[i]
    return -gained


@lean_part
def add_product(tile: Tile, n: int, p: FloatVector, v: FloatVector) -> None:
    """``v += Σ w_i y_i y_iᵀ p`` over n pairs."""
    for i in range(0, n, ROWS):
        add_products(tile.Y, i, tile.w, p, v)


@lean_part
def aims(t: FloatVector, first: int, last: int) -> bool:
    """Whether a pair has a target."""
    for i in range(first, last):  # noqa: SIM110 - numba has no generators in any()
        if t[i] != 0:
            return True
    return False


@lean_part
def is_finite(a: FloatVector) -> bool:
    """Whether every entry is."""
    found = np.float32(0)
    for j in range(len(a)):
        found += a[j]
    return bool(np.isfinite(found))


@lean_part
def descend(
    factors: FloatMatrix,
    indices: NDArray[np.int32],
    w: FloatVector,
    t: FloatVector,
    start: int,
    end: int,
    steps: int,
    tile: Tile,
    row: Scratch,
) -> None:
    """Improve x by ``steps`` of conjugate gradients from its residual r, preconditioned by ``inverse``.

    The tile has the row's pairs already, where it is large enough for all of them.
    """
    x, r, p, v, diagonal, inverse = row.x, row.r, row.p, row.v, row.diagonal, row.inverse
    k = len(x)
    rz = np.float32(0)
    for j in range(k):
        p[j] = inverse[j] * r[j]
        rz += r[j] * p[j]
    for _ in range(steps):
        for j in range(k):
            v[j] = diagonal[j] * p[j]
        for at in range(start, end, len(tile.w)):
            n = min(len(tile.w), end - at)
            if end - start > len(tile.w):
                gather(factors, indices, w, t, at, n, tile)
            add_product(tile, n, p, v)
        pv = np.float32(0)
        for j in range(k):
            pv += p[j] * v[j]
        if not (rz > TINY and pv > 0):
            return
        step = rz / pv
        reduced = np.float32(0)
        for j in range(k):
            x[j] += step * p[j]
            r[j] -= step * v[j]
            reduced += inverse[j] * r[j] * r[j]
        turn = reduced / rz
        rz = reduced
        for j in range(k):
            p[j] = inverse[j] * r[j] + turn * p[j]


def room(features: int) -> tuple[Tile, Scratch]:
    """Return what `improve_rows` works in."""
    width = -(-features // LANES) * LANES
    pairs = max(ROWS, TILE_BYTES // (4 * width) // ROWS * ROWS)
    Y, rows = aligned(pairs, width), aligned(6, width)
    Y[:], rows[:] = 0, 0
    tile = Tile(Y, np.zeros(pairs, np.float32), np.zeros(pairs, np.float32))
    x, r, p, v, diagonal, inverse = rows
    return tile, Scratch(x, r, p, v, diagonal, inverse, np.zeros(ROWS, np.float32))


@lean
def improve_rows(
    indptr: IntVector,
    indices: NDArray[np.int32],
    w: FloatVector,
    t: FloatVector,
    prior: FloatVector,
    ridges: FloatVector,
    center: FloatVector,
    held: int,
    factors: FloatMatrix,
    steps: int,
    before: float,
    after: float,
    tile: Tile,
    scratch: Scratch,
    X: FloatMatrix,
) -> tuple[float, float]:
    """Improve the rows of ``X`` float32[m, k] in place.

    ``indptr`` int64[m + 1], positions in ``indices`` int32[nnz], ``w`` and ``t`` float32[nnz]; indices are rows of
    ``factors`` float32[r, k]; ``prior`` float32[k] is g Λ; ``ridges`` float32[m]; ``tile`` and ``scratch`` are `room`.
    Rows without a target become ``center`` float32[k], the solution, to which the prior and λ pull; one whose step is
    beyond float32 stays where it is. The column ``held`` of the rows, -1 for none, is what ``center`` has there.
    Without biases ``center`` is 0.

    Returns the rows' part of the loss as they were, of those with a target: ``Σ w (x·y)² - 2 t x·y + zᵀ D z``; and
    ``Σ λ_u ‖z‖²`` as they are now, z being ``x - center``; each added, row by row, to ``before`` and ``after``.
    """
    k = X.shape[1]
    x, r, diagonal, inverse = scratch.x, scratch.r, scratch.diagonal, scratch.inverse
    for row in range(len(X)):
        start, end = indptr[row], indptr[row + 1]
        # A rating of 0 is a target once there is a mean.
        if not aims(t if held < 0 else w, start, end):
            for j in range(k):
                X[row, j] = center[j]
            continue
        for j in range(k, len(x)):
            x[j] = r[j] = 0  # what overflowed may have left no number here
        for j in range(k):
            x[j] = X[row, j] if j != held else center[j]
            diagonal[j] = prior[j] + ridges[row]
            inverse[j] = diagonal[j]
            r[j] = -diagonal[j] * (x[j] - center[j])
            before += diagonal[j] * (x[j] - center[j]) ** 2
        for at in range(start, end, len(tile.w)):
            n = min(len(tile.w), end - at)
            gather(factors, indices, w, t, at, n, tile)
            before += add_residual(tile, n, scratch, factors, indices, at)
        for j in range(k):
            inverse[j] = np.float32(1) / inverse[j] if inverse[j] > 0 and j != held else np.float32(0)
        descend(factors, indices, w, t, start, end, steps, tile, scratch)
        if is_finite(x):
            for j in range(k):
                X[row, j] = x[j]
        for j in range(k):
            after += ridges[row] * (X[row, j] - center[j]) ** 2
    return before, after
