"""Conjugate gradients over a history, by which most rows are solved.

A row's system is ``A = G + λ_u I + Σ w_i y_i y_iᵀ`` with ``G = g YᵀY``. Where the prior ``G + λ_u I`` is ``Q D Qᵀ``,
put ``x = Q D^-½ x̂``, and ``Â = I + Σ w_i ŷ_i ŷ_iᵀ`` has no eigenvalue below 1. So

    ``‖x − x*‖ ≤ D_min^-½ ‖r̂‖``

bounds the error by what every iteration has at hand, and n pairs need at most n + 1 iterations. A is never formed: an
iteration is one pass over the history's vectors. Two bases Q are used, whichever fits the row:

- *The identity*, where factors are published in the eigenbasis of their Gram matrix. Rounded to float32 they leave G
  nearly diagonal, not quite: conjugate gradients take its diagonal alone, and their answer is refined by the residual
  of the true system until that meets the bound.
- *The eigenvectors of G* otherwise, for two products with Q more an iteration.
"""

import numpy as np

from oryx_py.numerics.arrays import DoubleMatrix, DoubleVector, FloatMatrix, FloatVector
from oryx_py.numerics.basis import Basis
from oryx_py.numerics.compiling import lean_part
from oryx_py.numerics.lanes import ROWS, add_rows, dots
from oryx_py.numerics.loops import dot, largest, product, smallest
from oryx_py.numerics.rough_descent import Coming, Rough, descend_roughly

ERROR = 1e-6
"""Bound of the relative error at which conjugate gradients stop: a tenth of the contract's, to which the rounding to
float32 adds less than another hundredth."""

SPILL = 0.25 * ERROR
"""Relative error up to which the spill may be left out of residuals, and counts against the bound instead."""

ROUGHLY = 1e-7
"""Share of the squared residual at which a descent in float32 ends: beyond that, rounding leads it astray."""

TINY = 1e-90
"""Sums of products of targets and factors below this would vanish when squared."""

FEW = 12.0
"""Passes that must fit in the cost of a Cholesky solve for conjugate gradients to be tried; n + 2 always are enough."""


@lean_part
def history_product(Y: FloatMatrix, w: DoubleVector, n: int, p: DoubleVector, v: DoubleVector) -> None:
    """``v = Σ w_i y_i y_iᵀ p`` over the first ``n`` rows of ``Y``; ``w`` is 0 for as many as fill the last four."""
    for j in range(len(v)):
        v[j] = 0.0
    for i in range(0, n, ROWS):
        a0, a1, a2, a3 = dots(Y, i, p)
        add_rows(Y, i, (a0 * w[i], a1 * w[i + 1], a2 * w[i + 2], a3 * w[i + 3]), v)


@lean_part
def scaled_product(
    Y: FloatMatrix,
    w: DoubleVector,
    n: int,
    basis: Basis,
    s: DoubleVector,
    p: DoubleVector,
    v: DoubleVector,
    u: DoubleVector,
) -> None:
    """``v = Σ w_i ŷ_i ŷ_iᵀ p`` with ``ŷ = D^-½ Qᵀ y``; ``s`` is D^-½, ``u`` scratch."""
    k = len(p)
    for j in range(k):
        u[j] = s[j] * p[j]
    if len(basis.Q) > 0:
        product(basis.Q, u, v)
        history_product(Y, w, n, v, u)
        product(basis.Qt, u, v)
    else:
        history_product(Y, w, n, u, v)
    for j in range(k):
        v[j] *= s[j]


@lean_part
def conjugate_gradients(
    Y: FloatMatrix,
    w: DoubleVector,
    rough_w: FloatVector,
    n: int,
    basis: Basis,
    g: float,
    s: DoubleVector,
    b: DoubleVector,
    limit: float,
    spills: bool,
    budget: float,
    scratch: DoubleMatrix,
    rough: Rough,
    coming: Coming,
) -> bool:
    """Replace b̂ by x̂ with a true ``‖r̂‖² ≤ limit ‖x‖²``; False, and b̂ kept, if ``budget`` passes do not get there.

    Each round corrects x̂ by a descent in float32 from the true residual, which is computed in float64: ``spills`` says
    whether with what the basis spills.
    """
    x, r, v, u = scratch[0], scratch[1], scratch[3], scratch[4]
    k = len(x)
    for j in range(k):
        x[j] = 0.0
        r[j] = b[j]
    xx = 0.0
    rr = dot(r, r)
    while True:
        size = np.sqrt(rr)
        for j in range(k):
            rough.r[j] = np.float32(r[j] / size)
        # Half of the error leaves the other half to what float32 does not see. Of the first round's x nothing is known.
        wanted = max(ROUGHLY, 0.25 * limit * xx / rr)
        share = 0.25 * limit if xx == 0.0 else 0.0
        budget -= 0.5 * descend_roughly(Y, rough_w, n, basis, wanted, share, 2.0 * budget, rough, coming) + 1.0
        if budget < 0.0:
            return False
        for j in range(k):
            x[j] += size * rough.d[j]
        scaled_product(Y, w, n, basis, s, x, v, u)
        for j in range(k):
            r[j] = b[j] - x[j] - v[j]
            u[j] = s[j] * x[j]
        if spills:
            product(basis.spill, u, v)
            for j in range(k):
                r[j] -= s[j] * g * v[j]
        rr = dot(r, r)
        xx = dot(u, u)
        if rr <= limit * xx:
            for j in range(k):
                b[j] = x[j]
            return True


@lean_part
def by_conjugate_gradients(
    w: DoubleVector,
    n: int,
    basis: Basis,
    g: float,
    ridge: float,
    b: DoubleVector,
    Y: FloatMatrix,
    rough_w: FloatVector,
    scratch: DoubleMatrix,
    rough: Rough,
    coming: Coming,
) -> bool:
    """Replace b by x; False, and b kept, where Cholesky is expected to cost less, or has turned out to."""
    k = len(b)
    # Both in multiplications of an iteration, as measured; tests.bench.fold_in shows where the two cross.
    dense = n * k * (1.1 * k + 24.0) + 0.55 * k * k * k
    one = 4.0 * n * k + 4.0 * len(basis.Q) * k
    budget = dense / max(one, 1.0)
    # The spill may take this much off the least eigenvalue, and as much from the norm in which the bound is taken.
    least = g * smallest(basis.values) + ridge - 2.0 * g * basis.spilled
    if budget < min(FEW, n + 2.0) or n > len(Y) - ROWS or not least > 0.0 or largest(b) < TINY:
        return False
    s, x = scratch[5], scratch[6]
    if len(basis.Q) > 0:
        product(basis.Qt, b, x)
    else:
        for j in range(k):
            x[j] = b[j]
    for j in range(k):
        s[j] = 1.0 / np.sqrt(g * basis.values[j] + ridge)
        x[j] *= s[j]
    for i in range(n + ROWS):
        rough_w[i] = np.float32(w[i])
    for j in range(k):
        rough.s[j] = np.float32(s[j])
    left_out = g * basis.spilled / least
    spills = left_out > SPILL
    error = ERROR if spills else ERROR - left_out
    limit = error * error * least
    if not conjugate_gradients(Y, w, rough_w, n, basis, g, s, x, limit, spills, budget, scratch, rough, coming):
        return False
    for j in range(k):
        x[j] *= s[j]
    if len(basis.Q) > 0:
        product(basis.Q, x, b)
    else:
        for j in range(k):
            b[j] = x[j]
    return True
