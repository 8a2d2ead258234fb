"""Fold-in is the ridge solution: within 1e-5 of a dense float64 solve wherever cond(A) ≤ 1e6."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from oryx_py.numerics.fold_in.batched import fold_in_many
from oryx_py.numerics.fold_in.dense import fold_in
from tests.support.ridge import CONSTANTS, objective, random_histories, relative_error, solution, system

CONTRACT = 1e-5
FEATURES = (1, 2, 8, 32, 64, 200)


@settings(max_examples=120, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(sorted(CONSTANTS)),
    k=st.sampled_from(FEATURES),
    length=st.sampled_from((1, 2, 3, 7, 27, 75, 300, 900)),
    decades=st.floats(0.0, 3.5),
    log_scale=st.floats(-6.0, 1.0),
    correlated=st.booleans(),
    turned=st.booleans(),
)
def test_fold_in_is_the_ridge_solution(
    seed: int, kind: str, k: int, length: int, decades: float, log_scale: float, correlated: bool, turned: bool
) -> None:
    """One history or many at once, in the published basis or any other, of any length, however weak the prior."""
    rng = np.random.default_rng(seed)
    lengths = [length, 0, max(1, length // 2)]
    histories = random_histories(
        rng, k=k, lengths=lengths, rows=1000, decades=decades, correlated=correlated, turned=turned
    )
    scale = 10.0**log_scale
    h = histories
    many = fold_in_many(h.indptr, h.indices, h.strengths, h.factors, h.prior, objective(kind, scale))
    assert many.dtype == np.float32
    assert many.shape == (len(lengths), k)
    checked = 0
    for row in range(len(lengths)):
        strengths, vectors = histories.row(row)
        A, b = system(kind, scale, strengths, vectors, histories.factors)
        if b.any() and np.linalg.cond(A) > 1e6:
            continue
        exact = solution(A, b)
        one = fold_in(strengths, vectors, histories.prior, objective(kind, scale))
        assert one.dtype == np.float64
        assert relative_error(one, exact) <= CONTRACT / 100
        assert relative_error(many[row], exact) <= CONTRACT
        checked += b.any()
    assume(checked)


@pytest.mark.parametrize("kind", sorted(CONSTANTS))
@pytest.mark.parametrize("k", [8, 64])
@pytest.mark.parametrize("turned", [True, False])
def test_contract_holds_up_to_condition_1e6(kind: str, k: int, turned: bool) -> None:
    """λ is chosen so that cond(A) lies between 1e5 and 1e6, where an early stop would show."""
    rng = np.random.default_rng(k)
    h = random_histories(rng, k=k, lengths=[40], rows=3000, decades=4.0, turned=turned)
    strengths, vectors = h.row(0)
    for log_scale in np.arange(4.0, -12.0, -0.25):
        A, b = system(kind, 10.0**log_scale, strengths, vectors, h.factors)
        if np.linalg.cond(A) > 2e5:
            break
    assert 1e5 < np.linalg.cond(A) < 1e6
    X = fold_in_many(h.indptr, h.indices, h.strengths, h.factors, h.prior, objective(kind, 10.0**log_scale))
    assert relative_error(X[0], solution(A, b)) <= CONTRACT


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(sorted(CONSTANTS)),
    k=st.sampled_from((1, 8, 40)),
    scale=st.sampled_from((0.0, 1e-300, 1e-12, 1.0, 1e12)),
    strengths=st.lists(st.floats(allow_nan=True, allow_infinity=True, width=64), max_size=12),
)
def test_no_strength_makes_a_vector_that_is_not_finite(kind: str, k: int, scale: float, strengths: list[float]) -> None:
    """Not even infinite ones, nor λ = 0 with fewer pairs than features."""
    h = random_histories(np.random.default_rng(k), k=k, lengths=[len(strengths)], rows=20)
    s = np.array(strengths)
    chosen = objective(kind, scale)
    assert np.isfinite(fold_in_many(h.indptr, h.indices, s, h.factors, h.prior, chosen)).all()
    assert np.isfinite(fold_in(s, h.factors[h.indices], h.prior, chosen)).all()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), kind=st.sampled_from(sorted(CONSTANTS)), k=st.sampled_from((3, 32, 64)))
def test_deleted_pairs_leave_no_trace(seed: int, kind: str, k: int) -> None:
    """A history with pairs that are gone gives, bit for bit, what the history without them gives."""
    h = random_histories(np.random.default_rng(seed), k=k, lengths=[30], rows=200)
    kept = np.array([not math.isnan(s) for s in h.strengths])
    chosen = objective(kind)
    full = fold_in_many(h.indptr, h.indices, h.strengths, h.factors, h.prior, chosen)
    without = fold_in_many(np.array([0, kept.sum()]), h.indices[kept], h.strengths[kept], h.factors, h.prior, chosen)
    np.testing.assert_array_equal(full, without)
