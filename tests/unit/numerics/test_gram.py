"""Gram matrices and their bases."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from oryx_py.numerics.gram import eigenbasis, gram


def test_a_gram_matrix_is_the_sum_of_outer_products() -> None:
    factors = np.random.default_rng(0).standard_normal((50, 7)).astype(np.float32)
    slow = sum(np.outer(y, y) for y in factors.astype(np.float64))
    np.testing.assert_allclose(gram(factors), slow, rtol=1e-13, atol=1e-13)


@given(rows=st.integers(0, 40), block=st.integers(1, 50))
def test_blocks_do_not_change_it_and_it_is_exactly_symmetric(rows: int, block: int) -> None:
    factors = np.random.default_rng(rows).standard_normal((rows, 5)).astype(np.float32)
    G = gram(factors, block)
    np.testing.assert_allclose(G, gram(factors), rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(G, G.T)


def test_float32_rows_are_summed_in_float64() -> None:
    """A million ones and a small one: float32 sums would lose the latter."""
    factors = np.ones((1_000_001, 1), dtype=np.float32)
    factors[0] = 2.0**-12
    assert gram(factors)[0, 0] == 1_000_000 + 2.0**-24


@given(seed=st.integers(0, 1000), k=st.integers(1, 20))
def test_the_eigenbasis_diagonalises_in_descending_order(seed: int, k: int) -> None:
    G = gram(np.random.default_rng(seed).standard_normal((30, k)).astype(np.float32))
    Q = eigenbasis(G)
    np.testing.assert_allclose(Q.T @ Q, np.eye(k), atol=1e-12)
    turned = Q.T @ G @ Q
    np.testing.assert_allclose(turned, np.diag(np.diag(turned)), atol=1e-10)
    assert (np.diff(np.diag(turned)) <= 1e-10).all()


def test_the_largest_entry_of_each_basis_vector_is_positive() -> None:
    G = gram(np.random.default_rng(3).standard_normal((40, 16)).astype(np.float32))
    Q = eigenbasis(G)
    assert (Q[np.abs(Q).argmax(axis=0), np.arange(16)] > 0).all()


def test_scores_do_not_change_in_the_eigenbasis() -> None:
    rng = np.random.default_rng(4)
    X, Y = rng.standard_normal((10, 6)), rng.standard_normal((20, 6)).astype(np.float32)
    Q = eigenbasis(gram(Y))
    np.testing.assert_allclose((X @ Q) @ (Y @ Q).T, X @ Y.T, atol=1e-12)
