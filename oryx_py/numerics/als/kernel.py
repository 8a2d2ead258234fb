"""The compiled half of a sweep: some steps of conjugate gradients towards each row's solution, from where it stands.

A row's system is ``A = D + Σ w_i y_i y_iᵀ``, ``b = Σ t_i y_i``, in the basis in which the Gram matrix of the fixed side
is diagonal, so that ``D = g Λ + λ_u`` is, too: a step is one pass over the row's pairs, 4 n k operations, however many
rows the fixed side has. The preconditioner is A's own diagonal.

The sweeps converge together with the rows, so one or two steps a sweep do; what solves a row to the end is
`oryx_py.numerics.cg`. Everything is float32; a row depends on its own pairs and the fixed side alone.

Conjugate gradients for ALS: Takács, Pilászy & Tikk 2011, "Applications of the conjugate gradient method for implicit
feedback collaborative filtering".
"""

import numpy as np
from numpy.typing import NDArray

from oryx_py.numerics.arrays import FloatMatrix, FloatVector, IntVector
from oryx_py.numerics.compiling import compiled, part

GATHERED = 4096
"""Pairs of a row whose vectors are copied side by side; more would not stay in the caches anyway."""

TINY = np.float32(1e-30)
"""A squared residual of less is none."""


@part
def add_product(
    Y: FloatMatrix, rows: NDArray[np.int32], w: FloatVector, n: int, direct: bool, p: FloatVector, v: FloatVector
) -> None:
    """``v += Σ w_i y_i y_iᵀ p`` over n pairs; y_i is row i of ``Y`` or, if ``direct``, row ``rows[i]``."""
    k = len(p)
    i = 0
    # Four rows at a time share the loads of p, and the loads and stores of v.
    while i + 4 <= n:
        i0, i1, i2, i3 = i, i + 1, i + 2, i + 3
        if direct:
            i0, i1, i2, i3 = rows[i], rows[i + 1], rows[i + 2], rows[i + 3]
        a0 = a1 = a2 = a3 = np.float32(0)
        for j in range(k):
            a0 += Y[i0, j] * p[j]
            a1 += Y[i1, j] * p[j]
            a2 += Y[i2, j] * p[j]
            a3 += Y[i3, j] * p[j]
        a0 *= w[i]
        a1 *= w[i + 1]
        a2 *= w[i + 2]
        a3 *= w[i + 3]
        for j in range(k):
            v[j] += a0 * Y[i0, j] + a1 * Y[i1, j] + a2 * Y[i2, j] + a3 * Y[i3, j]
        i += 4
    while i < n:
        i0 = rows[i] if direct else i
        a0 = np.float32(0)
        for j in range(k):
            a0 += Y[i0, j] * p[j]
        a0 *= w[i]
        for j in range(k):
            v[j] += a0 * Y[i0, j]
        i += 1


@part
def read_row(
    factors: FloatMatrix,
    rows: NDArray[np.int32],
    w: FloatVector,
    t: FloatVector,
    gathered: FloatMatrix,
    x: FloatVector,
    r: FloatVector,
    full: FloatVector,
) -> bool:
    """Add the pairs' part to the residual ``r`` of ``x`` and to A's diagonal; False where no pair has a target."""
    k = len(x)
    aimed = False
    for i in range(len(rows)):
        q = np.float32(0)
        for j in range(k):
            q += factors[rows[i], j] * x[j]
        aimed |= t[i] != 0
        q = t[i] - w[i] * q
        for j in range(k):
            y = factors[rows[i], j]
            r[j] += q * y
            full[j] += w[i] * y * y
        if len(rows) <= len(gathered):
            for j in range(k):
                gathered[i, j] = factors[rows[i], j]
    return aimed


@part
def total(a: FloatVector) -> np.float32:
    """``Σ a_j``, not finite if an entry is not."""
    found = np.float32(0)
    for j in range(len(a)):
        found += a[j]
    return found


@part
def descend(
    Y: FloatMatrix,
    rows: NDArray[np.int32],
    w: FloatVector,
    direct: bool,
    diagonal: FloatVector,
    inverse: FloatVector,
    steps: int,
    scratch: FloatMatrix,
) -> None:
    """Improve x by ``steps`` of conjugate gradients from its residual r, preconditioned by ``inverse``."""
    x, r, p, v = scratch[0], scratch[1], scratch[2], scratch[3]
    k = len(x)
    rz = np.float32(0)
    for j in range(k):
        p[j] = inverse[j] * r[j]
        rz += r[j] * p[j]
    for _ in range(steps):
        for j in range(k):
            v[j] = diagonal[j] * p[j]
        add_product(Y, rows, w, len(rows), direct, p, v)
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


@compiled
def improve_rows(
    indptr: IntVector,
    indices: NDArray[np.int32],
    w: FloatVector,
    t: FloatVector,
    prior: FloatVector,
    ridges: FloatVector,
    factors: FloatMatrix,
    steps: int,
    first: int,
    last: int,
    X: FloatMatrix,
) -> None:
    """Improve rows ``first`` to ``last`` of ``X`` float32[m, k] in place.

    ``indptr`` int64[m + 1], ``indices`` int32[nnz] rows of ``factors`` float32[r, k]; ``w`` and ``t`` float32[nnz];
    ``prior`` float32[k] is g Λ; ``ridges`` float32[m]. Rows without a target become 0, the solution; one
    whose step is beyond float32 stays where it is.
    """
    k = X.shape[1]
    longest = 0
    for row in range(first, last):
        longest = max(longest, indptr[row + 1] - indptr[row])
    gathered = np.empty((min(longest, GATHERED), k), np.float32)
    scratch = np.empty((4, k), np.float32)
    x, r = scratch[0], scratch[1]
    diagonal, inverse = np.empty(k, np.float32), np.empty(k, np.float32)
    for row in range(first, last):
        pairs = slice(indptr[row], indptr[row + 1])
        rows, weights = indices[pairs], w[pairs]
        for j in range(k):
            x[j] = X[row, j]
            diagonal[j] = prior[j] + ridges[row]
            inverse[j] = diagonal[j]
            r[j] = -diagonal[j] * x[j]
        if not read_row(factors, rows, weights, t[pairs], gathered, x, r, inverse):
            for j in range(k):
                X[row, j] = 0
            continue
        for j in range(k):
            inverse[j] = np.float32(1) / inverse[j] if inverse[j] > 0 else np.float32(0)
        direct = len(rows) > len(gathered)
        descend(factors if direct else gathered, rows, weights, direct, diagonal, inverse, steps, scratch)
        if np.isfinite(total(x)):
            for j in range(k):
                X[row, j] = x[j]
