"""The compiled kernel behind ``fold_in_many``: conjugate gradients, and Cholesky where they do not pay.

A row's system is ``A = G + λ_u I + Σ w_i y_i y_iᵀ`` with ``G = g YᵀY``. Where the prior ``G + λ_u I`` is ``Q D Qᵀ``,
put ``x = Q D^-½ x̂``, and ``Â = I + Σ w_i ŷ_i ŷ_iᵀ`` has no eigenvalue below 1. So

    ``‖x − x*‖ ≤ D_min^-½ ‖r̂‖``

bounds the error by what every iteration has at hand, and n pairs need at most n + 1 iterations. A is never formed: an
iteration is one pass over the history's vectors. Two bases Q are used, whichever fits the row:

- *The identity*, where factors are published in the eigenbasis of their Gram matrix. Rounded to float32 they leave G
  nearly diagonal, not quite: conjugate gradients take its diagonal alone, and their answer is refined by the residual
  of the true system until that meets the bound.
- *The eigenvectors of G* otherwise, for two products with Q more an iteration.

Everything is float64 except the vectors, which are read as they are. Each row is computed from its own pairs alone.

Plain loops, no slices: numba takes seconds to compile an assignment to a slice.
"""

import numpy as np
from numpy.typing import NDArray

from oryx_py.numerics.arrays import BoolVector, DoubleMatrix, DoubleVector, FloatMatrix, FloatVector, IntVector
from oryx_py.numerics.basis import Basis
from oryx_py.numerics.compiling import compiled, part

ERROR = 1e-6
"""Bound of the relative error at which conjugate gradients stop: a tenth of the contract's, to which the rounding to
float32 adds less than another hundredth."""

GATHERED = 1 << 20
"""Floats of history vectors that conjugate gradients may gather (4 MiB); caches would not hold more anyway."""

ROUGHLY = 1e-7
"""Share of the squared residual at which a descent in float32 ends: beyond that, rounding leads it astray."""

QUICK = 6.0
"""Passes within which a descent may go on to the end: one that gets so far so fast is not led astray."""

TINY = 1e-90
"""Sums of products of targets and factors below this would vanish when squared."""

NOTHING, DESCENT, FACTORS, SINGULARLY = 0, 1, 2, 3
"""What solved a row: b = 0 needs nothing; conjugate gradients; Cholesky; neither, since it is singular in float64."""

FEW = 12.0
"""Passes that must fit in the cost of a Cholesky solve for conjugate gradients to be tried; n + 2 always are enough."""


@part
def dot(a: DoubleVector, b: DoubleVector | FloatVector) -> float:
    """``aᵀ b``."""
    total = 0.0
    for j in range(len(a)):
        total += a[j] * b[j]
    return float(total)


@part
def smallest(a: DoubleVector) -> float:
    """``min a_j``."""
    least = a[0]
    for j in range(1, len(a)):
        least = min(least, a[j])
    return float(least)


@part
def largest(a: DoubleVector) -> float:
    """``max |a_j|``."""
    most = abs(a[0])
    for j in range(1, len(a)):
        most = max(most, abs(a[j]))
    return float(most)


@part
def product(M: DoubleMatrix, p: DoubleVector | FloatVector, v: DoubleVector | FloatVector) -> None:
    """``v = M p``."""
    for i in range(len(p)):
        v[i] = dot(M[i], p)


@part
def history_product(Y: FloatMatrix, w: DoubleVector, n: int, p: DoubleVector, v: DoubleVector) -> None:
    """``v = Σ w_i y_i y_iᵀ p`` over the first ``n`` rows of ``Y``."""
    k = len(p)
    for j in range(k):
        v[j] = 0.0
    i = 0
    # Four rows at a time share the loads of p, and the loads and stores of v.
    while i + 4 <= n:
        a0 = a1 = a2 = a3 = 0.0
        for j in range(k):
            a0 += np.float64(Y[i, j]) * p[j]
            a1 += np.float64(Y[i + 1, j]) * p[j]
            a2 += np.float64(Y[i + 2, j]) * p[j]
            a3 += np.float64(Y[i + 3, j]) * p[j]
        a0 *= w[i]
        a1 *= w[i + 1]
        a2 *= w[i + 2]
        a3 *= w[i + 3]
        for j in range(k):
            v[j] += a0 * Y[i, j] + a1 * Y[i + 1, j] + a2 * Y[i + 2, j] + a3 * Y[i + 3, j]
        i += 4
    while i < n:
        a0 = 0.0
        for j in range(k):
            a0 += np.float64(Y[i, j]) * p[j]
        a0 *= w[i]
        for j in range(k):
            v[j] += a0 * Y[i, j]
        i += 1


@part
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


@part
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
    budget: float,
    scratch: DoubleMatrix,
    rough: FloatMatrix,
) -> bool:
    """Replace b̂ by x̂ with a true ``‖r̂‖² ≤ limit ‖x‖²``; False, and b̂ kept, if ``budget`` passes do not get there.

    Each round corrects x̂ by a descent in float32 from the true residual, which is computed in float64.
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
            rough[1, j] = np.float32(r[j] / size)
        # Half of the error leaves the other half to what float32 does not see. Of the first round's x nothing is known.
        wanted = max(ROUGHLY, 0.25 * limit * xx / rr)
        share = 0.25 * limit if xx == 0.0 else 0.0
        budget -= 0.5 * descend_roughly(Y, rough_w, n, basis, wanted, share, 2.0 * budget, rough) + 1.0
        if budget < 0.0:
            return False
        for j in range(k):
            x[j] += size * rough[0, j]
        scaled_product(Y, w, n, basis, s, x, v, u)
        for j in range(k):
            r[j] = b[j] - x[j] - v[j]
            u[j] = s[j] * x[j]
        if g * basis.spilled > 0.0:
            product(basis.spill, u, v)
            for j in range(k):
                r[j] -= s[j] * g * v[j]
        rr = dot(r, r)
        xx = dot(u, u)
        if rr <= limit * xx:
            for j in range(k):
                b[j] = x[j]
            return True


@part
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
    rough: FloatMatrix,
) -> bool:
    """Replace b by x; False, and b kept, where Cholesky is expected to cost less, or has turned out to."""
    k = len(b)
    # Both in multiplications of an iteration, as measured; tests.bench.fold_in shows where the two cross.
    dense = n * k * (1.1 * k + 24.0) + 0.55 * k * k * k
    one = 4.0 * n * k + 4.0 * len(basis.Q) * k
    budget = dense / max(one, 1.0)
    # The spill may take this much off the least eigenvalue, and as much from the norm in which the bound is taken.
    least = g * smallest(basis.values) + ridge - 2.0 * g * basis.spilled
    if budget < min(FEW, n + 2.0) or n > len(Y) or not least > 0.0 or largest(b) < TINY:
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
    for i in range(n):
        rough_w[i] = np.float32(w[i])
    for j in range(k):
        rough[4, j] = np.float32(s[j])
    if not conjugate_gradients(Y, w, rough_w, n, basis, g, s, x, ERROR * ERROR * least, budget, scratch, rough):
        return False
    for j in range(k):
        x[j] *= s[j]
    if len(basis.Q) > 0:
        product(basis.Q, x, b)
    else:
        for j in range(k):
            b[j] = x[j]
    return True


@part
def add_history(
    factors: FloatMatrix,
    rows: NDArray[np.int32],
    w: DoubleVector,
    n: int,
    left_out: int,
    A: DoubleMatrix,
    scratch: DoubleMatrix,
) -> None:
    """Add ``Σ w_i y_i y_iᵀ`` to the lower triangle of A, i over the first ``n`` of ``rows``."""
    k = len(A)
    y0, y1, y2, y3 = scratch[0], scratch[1], scratch[2], scratch[3]
    for i in range(0, n, 4):
        # Four rows at a time share the loads and stores of A; those beyond the last are zeros.
        for q in range(4):
            root = np.sqrt(w[i + q]) if i + q < n else 0.0
            row = rows[min(i + q, n - 1)]
            for j in range(k):
                scratch[q, j] = root * factors[row, j]
            if left_out >= 0:
                scratch[q, left_out] = 0.0
        for j in range(k):
            c0, c1, c2, c3 = y0[j], y1[j], y2[j], y3[j]
            for q in range(j + 1):
                A[j, q] += c0 * y0[q] + c1 * y1[q] + c2 * y2[q] + c3 * y3[q]


@part
def cholesky(A: DoubleMatrix, b: DoubleVector, singular: float) -> bool:
    """Replace b by x, and A's lower triangle by its factor; False if a pivot is not above that share of its entry."""
    k = len(b)
    for i in range(k):
        for j in range(i):
            A[i, j] = (A[i, j] - dot(A[i, :j], A[j, :j])) / A[j, j]
        pivot = A[i, i] - dot(A[i, :i], A[i, :i])
        if not pivot > singular * A[i, i]:
            return False
        A[i, i] = np.sqrt(pivot)
    for i in range(k):
        b[i] = (b[i] - dot(A[i, :i], b[:i])) / A[i, i]
    for i in range(k - 1, -1, -1):
        b[i] /= A[i, i]
        for j in range(i):
            b[j] -= A[i, j] * b[i]
    return True


@part
def by_cholesky(
    factors: FloatMatrix,
    rows: NDArray[np.int32],
    w: DoubleVector,
    n: int,
    gram: DoubleMatrix,
    g: float,
    ridge: float,
    b: DoubleVector,
    left_out: int,
    A: DoubleMatrix,
    singular: float,
    scratch: DoubleMatrix,
) -> bool:
    """Replace b by x; False if A is singular in float64."""
    for i in range(len(b)):
        for j in range(i + 1):
            A[i, j] = g * gram[i, j]
        A[i, i] += ridge
    if left_out >= 0:
        A[left_out, left_out] += 1.0  # regular without regularisation, too: there is nothing but 0 to solve for
    add_history(factors, rows, w, n, left_out, A, scratch)
    return cholesky(A, b, singular)


@part
def gather(
    factors: FloatMatrix,
    indices: NDArray[np.int32],
    w: DoubleVector,
    first: int,
    last: int,
    left_out: int,
    rows: NDArray[np.int32],
    weights: DoubleVector,
    Y: FloatMatrix,
) -> int:
    """Put pairs that have a weight into ``rows`` and ``weights``, and their vectors into ``Y``; returns their number.

    Nothing but copying, so that many rows are on their way from memory at a time.
    """
    n = 0
    for i in range(first, last):
        if w[i] > 0.0:
            if n < len(Y):
                row = indices[i]
                for j in range(Y.shape[1]):
                    Y[n, j] = factors[row, j]
                if left_out >= 0:
                    Y[n, left_out] = 0.0
            rows[n] = indices[i]
            weights[n] = w[i]
            n += 1
    return n


@part
def read_history(
    factors: FloatMatrix,
    indices: NDArray[np.int32],
    w: DoubleVector,
    t: DoubleVector,
    first: int,
    last: int,
    left_out: int,
    rows: NDArray[np.int32],
    weights: DoubleVector,
    b: DoubleVector,
    Y: FloatMatrix,
) -> int:
    """Put ``Σ t_i y_i`` into b, and pairs that have a weight into ``rows`` and ``weights``; returns their number.

    Their vectors go into ``Y``, as many as it has room for.
    """
    for j in range(len(b)):
        b[j] = 0.0
    count = gather(factors, indices, w, first, last, left_out, rows, weights, Y)
    n = 0
    for i in range(first, last):
        if t[i] != 0.0:
            if w[i] > 0.0 and n < len(Y):
                for j in range(len(b)):
                    b[j] += t[i] * Y[n, j]
            else:
                for j in range(len(b)):
                    b[j] += t[i] * factors[indices[i], j]
        if w[i] > 0.0:
            n += 1
    if left_out >= 0:
        b[left_out] = 0.0
    return count


@compiled
def weigh_rows(
    indptr: IntVector,
    strengths: DoubleVector,
    explicit: bool,
    alpha: float,
    kappa: float,
    epsilon: float,
    positive: bool,
    limit: float,
    w: DoubleVector,
    t: DoubleVector,
) -> IntVector:
    """Each pair's weight and target, as ``Objective.weights`` has them, in one pass; returns int64[m], each row's n.

    ``epsilon`` is 0 where weights grow with the strength itself; ``positive`` says which pairs are counted.
    """
    m = len(indptr) - 1
    counted = np.zeros(m, dtype=np.int64)
    for row in range(m):
        n = 0
        for i in range(indptr[row], indptr[row + 1]):
            s = strengths[i]
            if np.isnan(s):
                w[i] = t[i] = 0.0
                continue
            s = min(max(s, -limit), limit)
            if explicit:
                w[i], t[i] = 1.0, s
                n += 1
                continue
            size = abs(s)
            weight = alpha * (np.log1p(size / epsilon) if epsilon > 0.0 else size)
            w[i] = weight
            t[i] = kappa + weight if s > 0.0 else 0.0
            if s > 0.0 or (s != 0.0 and not positive):
                n += 1
        counted[row] = n
    return counted


@compiled
def solve_rows(
    indptr: IntVector,
    indices: NDArray[np.int32],
    w: DoubleVector,
    t: DoubleVector,
    ridges: DoubleVector,
    factors: FloatMatrix,
    gram: DoubleMatrix,
    g: float,
    plain: Basis,
    turned: Basis,
    turn: BoolVector,
    singular: float,
    left_out: int,
    X: FloatMatrix,
) -> NDArray[np.int8]:
    """Solve m systems into ``X`` float32[m, k]; returns int8[m], what each was solved by.

    ``indptr`` int64[m + 1] begins at 0; ``w`` and ``t`` float64 by pair; ``ridges`` float64[m]; ``turn`` bool[m] says
    which rows take the basis ``turned``; a pivot of less than ``singular`` times its entry stands for 0. The column
    ``left_out`` of the factors counts as 0, and so is X's; -1 for none. Rows then take the basis ``plain``, since
    another mixes the columns.
    """
    m, k = X.shape
    how = np.empty(m, dtype=np.int8)
    longest = 0
    for row in range(m):
        longest = max(longest, indptr[row + 1] - indptr[row])
    rows = np.empty(longest, dtype=np.int32)
    weights = np.empty(longest)
    Y = np.empty((min(longest, GATHERED // k), k), dtype=np.float32)
    rough_w = np.empty(longest, dtype=np.float32)
    scratch = np.empty((7, k))
    rough = np.empty((7, k), dtype=np.float32)
    A = np.empty((k, k))
    b = np.empty(k)
    for row in range(m):
        n = read_history(factors, indices, w, t, indptr[row], indptr[row + 1], left_out, rows, weights, b, Y)
        basis = turned if turn[row] else plain
        ridge = ridges[row]
        if not largest(b) > 0.0:
            how[row] = NOTHING
        elif by_conjugate_gradients(weights, n, basis, g, ridge, b, Y, rough_w, scratch, rough):
            how[row] = DESCENT
        elif by_cholesky(factors, rows, weights, n, gram, g, ridge, b, left_out, A, singular, scratch):
            how[row] = FACTORS
        else:
            how[row] = SINGULARLY
        for j in range(k):
            X[row, j] = b[j]
    return how
