"""Conjugate gradients in float32, as far as that goes: `numerics.fold_in.conjugate_gradients` corrects by them."""

from typing import NamedTuple

import numpy as np

from oryx_py.numerics.arrays import FloatVector
from oryx_py.numerics.basis import Basis
from oryx_py.numerics.compiled.compiling import lean_part
from oryx_py.numerics.compiled.lanes import ROWS, add_products
from oryx_py.numerics.compiled.loops import product
from oryx_py.numerics.fold_in.gathered import Coming, Gathered, prefetch_coming

AT_A_TIME = 2
"""Vectors that are asked for while `ROWS` are worked on: within four passes, twice as many as there are."""

QUICK = 6.0
"""Passes within which a descent may go on to the end: one that gets so far so fast is not led astray."""


class Rough(NamedTuple):
    """What a descent works on, each float32[K]: d, r, p and v of the method, D^-½, and scratch."""

    d: FloatVector
    r: FloatVector
    p: FloatVector
    v: FloatVector
    s: FloatVector
    u: FloatVector
    z: FloatVector


@lean_part
def rough_history_product(history: Gathered, n: int, p: FloatVector, v: FloatVector, coming: Coming) -> None:
    """``v = Σ w_i y_i y_iᵀ p`` over the first ``n`` pairs; lets vectors come meanwhile."""
    for j in range(len(v)):
        v[j] = np.float32(0.0)
    for i in range(0, n, ROWS):
        add_products(history.Y, i, history.rough_w, p, v)
        for _ in range(AT_A_TIME):
            prefetch_coming(coming)


@lean_part
def rough_product(
    history: Gathered,
    n: int,
    basis: Basis,
    s: FloatVector,
    p: FloatVector,
    v: FloatVector,
    u: FloatVector,
    z: FloatVector,
    coming: Coming,
) -> None:
    """``v = p + Σ w_i ŷ_i ŷ_iᵀ p`` with ``ŷ = D^-½ Qᵀ y``; ``s`` is D^-½, ``u`` and ``z`` are scratch."""
    k = len(p)
    for j in range(k):
        u[j] = s[j] * p[j]
    if len(basis.Q) > 0:
        product(basis.Q, u, z)
        rough_history_product(history, n, z, u, coming)
        product(basis.Qt, u, v)
    else:
        rough_history_product(history, n, u, v, coming)
    for j in range(k):
        v[j] = p[j] + s[j] * v[j]


@lean_part
def rough_dot(a: FloatVector, b: FloatVector) -> float:
    """``aᵀ b``, in float32."""
    total = np.float32(0.0)
    for j in range(len(a)):
        total += a[j] * b[j]
    return float(total)


@lean_part
def descend_roughly(
    history: Gathered,
    n: int,
    basis: Basis,
    limit: float,
    share: float,
    budget: float,
    rough: Rough,
    coming: Coming,
) -> float:
    """Solve ``Â d = r`` in float32 until ``‖r‖² ≤ limit``, which begins at 1; the passes spent, or inf.

    With a ``share`` it goes on, while that is quick, until ``‖r‖²`` is this share of ``‖D^-½ d‖²``.

    Of ``rough``, r and D^-½ are given.
    """
    d, r, p, v, s = rough.d, rough.r, rough.p, rough.v, rough.s
    k = len(d)
    for j in range(k):
        d[j] = np.float32(0.0)
        p[j] = r[j]
    rr = rough_dot(r, r)
    passes = 1.0
    while passes <= budget:
        rough_product(history, n, basis, s, p, v, rough.u, rough.z, coming)
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
                    dd += (s[j] * d[j]) ** 2
            if dd == 0.0 or reduced <= share * dd:
                return passes
        turn = np.float32(reduced / rr)
        rr = reduced
        for j in range(k):
            p[j] = r[j] + turn * p[j]
        passes += 1.0
    return np.inf
