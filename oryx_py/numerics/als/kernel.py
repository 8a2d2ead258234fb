"""The compiled half of a sweep: some steps of conjugate gradients towards each row's solution, from where it stands.

A row's system is ``A = D + Σ w_i y_i y_iᵀ``, ``b = Σ t_i y_i``, in the basis in which the Gram matrix of the fixed side
is diagonal, so that ``D = g Λ + λ_u`` is, too: a step is one pass over the row's pairs, 4 n k operations, however many
rows the fixed side has. The preconditioner is A's own diagonal.

The sweeps converge together with the rows, so one or two steps a sweep do; what solves a row to the end is
`oryx_py.numerics.cg`. Everything is float32; a row depends on its own pairs and the fixed side alone.

What takes the time is fetching vectors from all over the fixed side. So a row's are copied side by side first, in a
loop that does nothing else, and many fetches are under way at once; and every loop takes four of them, which share
the loads of what they are multiplied with. Together that is three to four times as fast as row by row in place. While
a row is worked on the next one's vectors are asked for already.

Conjugate gradients for ALS: Takács, Pilászy & Tikk 2011, "Applications of the conjugate gradient method for implicit
feedback collaborative filtering".
"""

import numpy as np
from numpy.typing import NDArray

from oryx_py.numerics.aligned import aligned
from oryx_py.numerics.arrays import FloatMatrix, FloatVector, IntVector
from oryx_py.numerics.compiling import lean, lean_part
from oryx_py.numerics.prefetching import prefetch

TILE_BYTES = 1 << 19
"""Of a row's vectors that are copied side by side: about half of what a core's own cache holds."""

AHEAD = 32
"""Pairs between one that is worked on and one whose vector is asked for: some microseconds, more than memory takes."""

LINE = 16
"""Floats of a cache line."""

TINY = np.float32(1e-30)
"""A squared residual of less is none."""


@lean_part
def gather(factors: FloatMatrix, indices: NDArray[np.int32], first: int, n: int, Y: FloatMatrix) -> None:
    """Copy the vectors of n pairs into Y, and zeros up to a multiple of four."""
    k = factors.shape[1]
    for i in range(n):
        row = indices[first + i]
        for j in range(k):
            Y[i, j] = factors[row, j]
    for i in range(n, (n + 3) // 4 * 4):
        for j in range(k):
            Y[i, j] = 0


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
def at_or_0(values: FloatVector, first: int, i: int, n: int) -> np.float32:
    """``values[first + i]``; 0 beyond n."""
    return np.float32(values[first + i]) if i < n else np.float32(0)


@lean_part
def add_residual(
    Y: FloatMatrix,
    w: FloatVector,
    t: FloatVector,
    first: int,
    n: int,
    x: FloatVector,
    r: FloatVector,
    full: FloatVector,
    factors: FloatMatrix,
    indices: NDArray[np.int32],
) -> float:
    """Add n pairs' part to the residual ``r`` of x and to A's diagonal; returns ``Σ w (x·y)² - 2 t x·y``.

    Meanwhile vectors are fetched for the rows that follow.
    """
    k = len(x)
    fit = 0.0
    for i in range(0, n, 4):
        for ahead in range(AHEAD, AHEAD + 4):
            ask(factors, indices, first + i + ahead)
        a0 = a1 = a2 = a3 = np.float32(0)
        for j in range(k):
            a0 += Y[i, j] * x[j]
            a1 += Y[i + 1, j] * x[j]
            a2 += Y[i + 2, j] * x[j]
            a3 += Y[i + 3, j] * x[j]
        w0, t0 = at_or_0(w, first, i, n), at_or_0(t, first, i, n)
        w1, t1 = at_or_0(w, first, i + 1, n), at_or_0(t, first, i + 1, n)
        w2, t2 = at_or_0(w, first, i + 2, n), at_or_0(t, first, i + 2, n)
        w3, t3 = at_or_0(w, first, i + 3, n), at_or_0(t, first, i + 3, n)
        b0, b1, b2, b3 = t0 - w0 * a0, t1 - w1 * a1, t2 - w2 * a2, t3 - w3 * a3
        fit -= float(a0 * (b0 + t0) + a1 * (b1 + t1) + a2 * (b2 + t2) + a3 * (b3 + t3))
        for j in range(k):
            y0, y1, y2, y3 = Y[i, j], Y[i + 1, j], Y[i + 2, j], Y[i + 3, j]
            r[j] += b0 * y0 + b1 * y1 + b2 * y2 + b3 * y3
            full[j] += w0 * y0 * y0 + w1 * y1 * y1 + w2 * y2 * y2 + w3 * y3 * y3
    return fit


@lean_part
def add_product(Y: FloatMatrix, w: FloatVector, first: int, n: int, p: FloatVector, v: FloatVector) -> None:
    """``v += Σ w_i y_i y_iᵀ p`` over n pairs."""
    k = len(p)
    for i in range(0, n, 4):
        a0 = a1 = a2 = a3 = np.float32(0)
        for j in range(k):
            a0 += Y[i, j] * p[j]
            a1 += Y[i + 1, j] * p[j]
            a2 += Y[i + 2, j] * p[j]
            a3 += Y[i + 3, j] * p[j]
        a0 *= at_or_0(w, first, i, n)
        a1 *= at_or_0(w, first, i + 1, n)
        a2 *= at_or_0(w, first, i + 2, n)
        a3 *= at_or_0(w, first, i + 3, n)
        for j in range(k):
            v[j] += a0 * Y[i, j] + a1 * Y[i + 1, j] + a2 * Y[i + 2, j] + a3 * Y[i + 3, j]


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
    start: int,
    end: int,
    diagonal: FloatVector,
    inverse: FloatVector,
    steps: int,
    Y: FloatMatrix,
    scratch: FloatMatrix,
) -> None:
    """Improve x by ``steps`` of conjugate gradients from its residual r, preconditioned by ``inverse``.

    Y has the vectors of the row's pairs already, where it is large enough for all of them.
    """
    x, r, p, v = scratch[0], scratch[1], scratch[2], scratch[3]
    k = len(x)
    rz = np.float32(0)
    for j in range(k):
        p[j] = inverse[j] * r[j]
        rz += r[j] * p[j]
    for _ in range(steps):
        for j in range(k):
            v[j] = diagonal[j] * p[j]
        for at in range(start, end, len(Y)):
            n = min(len(Y), end - at)
            if end - start > len(Y):
                gather(factors, indices, at, n, Y)
            add_product(Y, w, at, n, p, v)
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


def room(features: int) -> tuple[FloatMatrix, FloatMatrix]:
    """Return what `improve_rows` works in: vectors float32[t, k], t a multiple of four, and float32[6, k]."""
    tile = max(4, TILE_BYTES // (4 * features) // 4 * 4)
    return aligned(tile, features), aligned(6, features)


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
    Y: FloatMatrix,
    scratch: FloatMatrix,
    X: FloatMatrix,
) -> tuple[float, float]:
    """Improve the rows of ``X`` float32[m, k] in place.

    ``indptr`` int64[m + 1], positions in ``indices`` int32[nnz], ``w`` and ``t`` float32[nnz]; indices are rows of
    ``factors`` float32[r, k]; ``prior`` float32[k] is g Λ; ``ridges`` float32[m]; ``Y`` and ``scratch`` are `room`.
    Rows without a target become ``center`` float32[k], the solution, to which the prior and λ pull; one whose step is
    beyond float32 stays where it is. The column ``held`` of the rows, -1 for none, is what ``center`` has there.
    Without biases ``center`` is 0.

    Returns the rows' part of the loss as they were, of those with a target: ``Σ w (x·y)² - 2 t x·y + zᵀ D z``; and
    ``Σ λ_u ‖z‖²`` as they are now, z being ``x - center``.
    """
    k = X.shape[1]
    x, r, diagonal, inverse = scratch[0], scratch[1], scratch[4], scratch[5]
    before = after = 0.0
    for row in range(len(X)):
        start, end = indptr[row], indptr[row + 1]
        # A rating of 0 is a target once there is a mean.
        if not aims(t if held < 0 else w, start, end):
            for j in range(k):
                X[row, j] = center[j]
            continue
        for j in range(k):
            x[j] = X[row, j] if j != held else center[j]
            diagonal[j] = prior[j] + ridges[row]
            inverse[j] = diagonal[j]
            r[j] = -diagonal[j] * (x[j] - center[j])
            before += diagonal[j] * (x[j] - center[j]) ** 2
        for at in range(start, end, len(Y)):
            n = min(len(Y), end - at)
            gather(factors, indices, at, n, Y)
            before += add_residual(Y, w, t, at, n, x, r, inverse, factors, indices)
        for j in range(k):
            inverse[j] = np.float32(1) / inverse[j] if inverse[j] > 0 and j != held else np.float32(0)
        descend(factors, indices, w, start, end, diagonal, inverse, steps, Y, scratch)
        if is_finite(x):
            for j in range(k):
                X[row, j] = x[j]
        for j in range(k):
            after += ridges[row] * (X[row, j] - center[j]) ** 2
    return before, after
