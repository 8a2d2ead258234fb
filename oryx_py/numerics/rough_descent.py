"""Conjugate gradients in float32, as far as that goes: `oryx_py.numerics.descent` corrects by them."""

import numpy as np

from oryx_py.numerics.arrays import FloatMatrix, FloatVector
from oryx_py.numerics.basis import Basis
from oryx_py.numerics.compiling import part
from oryx_py.numerics.loops import product

QUICK = 6.0
"""Passes within which a descent may go on to the end: one that gets so far so fast is not led astray."""


@part
def rough_history_product(Y: FloatMatrix, w: FloatVector, n: int, p: FloatVector, v: FloatVector) -> None:
    """``v = Σ w_i y_i y_iᵀ p`` as `history_product` has it, in float32."""
    k = len(p)
    for j in range(k):
        v[j] = np.float32(0.0)
    i = 0
    while i + 4 <= n:
        a0 = a1 = a2 = a3 = np.float32(0.0)
        for j in range(k):
            a0 += Y[i, j] * p[j]
            a1 += Y[i + 1, j] * p[j]
            a2 += Y[i + 2, j] * p[j]
            a3 += Y[i + 3, j] * p[j]
        a0 *= w[i]
        a1 *= w[i + 1]
        a2 *= w[i + 2]
        a3 *= w[i + 3]
        for j in range(k):
            v[j] += a0 * Y[i, j] + a1 * Y[i + 1, j] + a2 * Y[i + 2, j] + a3 * Y[i + 3, j]
        i += 4
    while i < n:
        a0 = np.float32(0.0)
        for j in range(k):
            a0 += Y[i, j] * p[j]
        a0 *= w[i]
        for j in range(k):
            v[j] += a0 * Y[i, j]
        i += 1


@part
def rough_product(
    Y: FloatMatrix,
    w: FloatVector,
    n: int,
    basis: Basis,
    s: FloatVector,
    p: FloatVector,
    v: FloatVector,
    u: FloatVector,
    z: FloatVector,
) -> None:
    """``v = Σ w_i ŷ_i ŷ_iᵀ p`` as `scaled_product` has it, in float32; ``u`` and ``z`` are scratch."""
    k = len(p)
    for j in range(k):
        u[j] = s[j] * p[j]
    if len(basis.Q) > 0:
        product(basis.Q, u, z)
        for j in range(k):
            u[j] = z[j]
    rough_history_product(Y, w, n, u, z)
    if len(basis.Q) > 0:
        product(basis.Qt, z, v)
    else:
        for j in range(k):
            v[j] = z[j]
    for j in range(k):
        v[j] *= s[j]


@part
def rough_dot(a: FloatVector, b: FloatVector) -> float:
    """``aᵀ b``, in float32."""
    total = np.float32(0.0)
    for j in range(len(a)):
        total += a[j] * b[j]
    return float(total)


@part
def descend_roughly(
    Y: FloatMatrix,
    w: FloatVector,
    n: int,
    basis: Basis,
    limit: float,
    share: float,
    budget: float,
    rough: FloatMatrix,
) -> float:
    """Solve ``Â d = r`` in float32 until ``‖r‖² ≤ limit``, which begins at 1; the passes spent, or inf.

    With a ``share`` it goes on, while that is quick, until ``‖r‖²`` is this share of ``‖D^-½ d‖²``.

    ``rough`` has d, r, p, v, D^-½ and scratch as its rows; r and D^-½ are given.
    """
    d, r, p, v = rough[0], rough[1], rough[2], rough[3]
    k = len(d)
    for j in range(k):
        d[j] = np.float32(0.0)
        p[j] = r[j]
    rr = rough_dot(r, r)
    passes = 1.0
    while passes <= budget:
        rough_product(Y, w, n, basis, rough[4], p, v, rough[5], rough[6])
        for j in range(k):
            v[j] += p[j]
        pv = rough_dot(p, v)
        if not pv > 0.0:  # underflow
            break
        step = np.float32(rr / pv)
        for j in range(k):
            d[j] += step * p[j]
            r[j] -= step * v[j]
        reduced = rough_dot(r, r)
        if reduced <= limit:
            dd = 0.0
            if share > 0.0 and passes < QUICK:
                for j in range(k):
                    dd += (rough[4, j] * d[j]) ** 2
            if dd == 0.0 or reduced <= share * dd:
                return passes
        turn = np.float32(reduced / rr)
        rr = reduced
        for j in range(k):
            p[j] = r[j] + turn * p[j]
        passes += 1.0
    return np.inf
