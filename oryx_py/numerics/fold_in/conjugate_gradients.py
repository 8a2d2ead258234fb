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

from oryx_py.numerics.arrays import DoubleMatrix, DoubleVector
from oryx_py.numerics.basis import Basis
from oryx_py.numerics.compiled.compiling import lean_part
from oryx_py.numerics.compiled.lanes import ROWS, add_residuals, add_rows
from oryx_py.numerics.compiled.loops import dot, product, smallest
from oryx_py.numerics.fold_in.gathered import Coming, Gathered, all_fit
from oryx_py.numerics.fold_in.rough_conjugate_gradients import Rough, descend_roughly

ERROR = 1e-6
"""Bound of the relative error at which conjugate gradients stop: a tenth of the contract's, to which the rounding to
float32 adds less than another hundredth."""

SPILL = 0.25 * ERROR
"""Relative error up to which the spill may be left out of residuals, and counts against the bound instead."""

ROUGHLY = 1e-7
"""Share of the squared residual at which a descent in float32 ends: beyond that, rounding leads it astray."""

TINY, HUGE = 1e-20, 1e30
"""Sums of products of targets and factors beyond these may lose their last bits in float32, or all."""

FEW = 12.0
"""Passes that must fit in the cost of a Cholesky solve for conjugate gradients to be tried; n + 2 always are enough."""


@lean_part
def rough_targets(history: Gathered, n: int, b: DoubleVector) -> float:
    """``b = Σ t_i y_i`` of the first ``n`` pairs, up to what float32 rounds, and ``Σ |b_j|``."""
    for j in range(len(b)):
        b[j] = 0.0
    for i in range(0, n, ROWS):
        add_rows(history.Y, i, history.rough_t, b)
    total = 0.0
    for j in range(len(b)):
        total += abs(b[j])
    return total


@lean_part
def add_all_residuals(history: Gathered, n: int, x: DoubleVector, v: DoubleVector) -> None:
    """``v += Σ (t_i - w_i y_iᵀ x) y_i`` over the first ``n`` pairs."""
    for i in range(0, n, ROWS):
        add_residuals(history.Y, i, history.w, history.t, x, v)


@lean_part
def scaled_residual(
    history: Gathered,
    n: int,
    basis: Basis,
    s: DoubleVector,
    x: DoubleVector,
    r: DoubleVector,
    u: DoubleVector,
    v: DoubleVector,
) -> None:
    """``r = Σ (t_i - w_i ŷ_iᵀ x) ŷ_i - x`` with ``ŷ = D^-½ Qᵀ y``; ``s`` is D^-½, ``u`` and ``v`` are scratch."""
    k = len(x)
    for j in range(k):
        u[j] = s[j] * x[j]
        r[j] = v[j] = 0.0
    if len(basis.Q) > 0:
        product(basis.Q, u, v)
        for j in range(k):
            u[j] = 0.0
        add_all_residuals(history, n, v, u)
        product(basis.Qt, u, r)
    else:
        add_all_residuals(history, n, u, r)
    for j in range(k):
        r[j] = s[j] * r[j] - x[j]


@lean_part
def conjugate_gradients(
    history: Gathered,
    n: int,
    basis: Basis,
    g: float,
    s: DoubleVector,
    x: DoubleVector,
    limit: float,
    spills: bool,
    budget: float,
    scratch: DoubleMatrix,
    rough: Rough,
    coming: Coming,
) -> bool:
    """Replace b̂, or nearly that, by x̂ with a true ``‖r̂‖² ≤ limit ‖x‖²``; False if ``budget`` passes do not get there.

    Each round corrects x̂ by a descent in float32 from the residual: the first from what is given, the others from the
    true one, which is computed in float64; ``spills`` says whether with what the basis spills.
    """
    r, v, u = scratch[0], scratch[1], scratch[2]
    k = len(x)
    for j in range(k):
        r[j] = x[j]
        x[j] = 0.0
    xx = 0.0
    rr = dot(r, r)
    while True:
        size = np.sqrt(rr)
        for j in range(k):
            rough.r[j] = np.float32(r[j] / size)
        # Half of the error leaves the other half to what float32 does not see. Of the first round's x nothing is known.
        wanted = max(ROUGHLY, 0.25 * limit * xx / rr)
        share = 0.25 * limit if xx == 0.0 else 0.0
        budget -= 0.5 * descend_roughly(history, n, basis, wanted, share, 2.0 * budget, rough, coming) + 1.0
        if budget < 0.0:
            return False
        for j in range(k):
            x[j] += size * rough.d[j]
        scaled_residual(history, n, basis, s, x, r, u, v)
        for j in range(k):
            u[j] = s[j] * x[j]
        if spills:
            product(basis.spill, u, v)
            for j in range(k):
                r[j] -= s[j] * g * v[j]
        rr = dot(r, r)
        xx = dot(u, u)
        if rr <= limit * xx:
            return True


@lean_part
def by_conjugate_gradients(
    history: Gathered,
    n: int,
    basis: Basis,
    g: float,
    ridge: float,
    b: DoubleVector,
    scratch: DoubleMatrix,
    rough: Rough,
    coming: Coming,
) -> bool:
    """Let ``b`` be x; False where Cholesky is expected to cost less, or has turned out to, or there are no targets."""
    k = len(basis.values)
    # Both in multiplications of an iteration, as measured; tests.bench.fold_in shows where the two cross.
    dense = n * k * (1.1 * k + 24.0) + 0.55 * k * k * k
    one = 4.0 * n * k + 4.0 * len(basis.Q) * k
    budget = dense / max(one, 1.0)
    # The spill may take this much off the least eigenvalue, and as much from the norm in which the bound is taken.
    least = g * smallest(basis.values) + ridge - 2.0 * g * basis.spilled
    if budget < min(FEW, n + 2.0) or not all_fit(history, n) or not least > 0.0:
        return False
    if not TINY < rough_targets(history, n, b) < HUGE:
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
        rough.s[j] = np.float32(s[j])
    left_out = g * basis.spilled / least
    spills = left_out > SPILL
    error = ERROR if spills else ERROR - left_out
    limit = error * error * least
    if not conjugate_gradients(history, n, basis, g, s, x, limit, spills, budget, scratch, rough, coming):
        return False
    for j in range(k):
        x[j] *= s[j]
    if len(basis.Q) > 0:
        product(basis.Q, x, b)
    else:
        for j in range(k):
            b[j] = x[j]
    return True
