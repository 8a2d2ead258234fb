"""Biases: the solve against its definition, and the laws that hold with and without them."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oryx_py.numerics.biases import Biases
from oryx_py.numerics.fold_in.batched import fold_in_many
from oryx_py.numerics.fold_in.dense import Prior, fold_in
from oryx_py.numerics.gram import gram
from oryx_py.numerics.objective import Objective
from tests.support.biases import biased_ridge, published
from tests.support.ridge import relative_error

RATINGS = [0.0, 0.5, 1.0, 3.0, 5.0, -2.0]
sides = st.sampled_from(["users", "items"])


def histories(rng: np.random.Generator, lengths: list[int], rows: int):
    """Histories of these lengths: indptr, indices, ratings, some of which are gone."""
    indices = np.concatenate([rng.choice(rows, n, replace=False) for n in lengths])
    ratings = rng.choice([*RATINGS, math.nan], len(indices))
    return np.concatenate([[0], np.cumsum(lengths)]), indices, ratings


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    fixed=sides,
    latent=st.sampled_from([1, 3, 16, 64]),
    length=st.sampled_from([1, 2, 9, 40, 300]),
    mean=st.sampled_from([0.0, 3.5, -40.0]),
    lambda_=st.sampled_from([1e-3, 0.05, 2.0]),
)
def test_the_fold_is_the_minimum_of_the_loss(seed, fixed, latent, length, mean, lambda_):
    """Of a user against items, and of an item against users; ratings that are gone count for nothing."""
    rng = np.random.default_rng(seed)
    objective = Objective.biased_explicit(lambda_, Biases.last(latent + 2, mean))
    factors = published(rng, 400, latent, objective.biases, fixed)
    indptr, indices, ratings = histories(rng, [length, 1, length // 2 + 1], 400)
    prior = Prior(gram(factors), 400, of=fixed)
    many = fold_in_many(indptr, indices, ratings, factors, prior, objective)
    for row in range(3):
        mine = slice(indptr[row], indptr[row + 1])
        there = ~np.isnan(ratings[mine])
        wanted = biased_ridge(ratings[mine][there], factors[indices[mine]][there], fixed, mean, lambda_)
        assert relative_error(fold_in(ratings[mine], factors[indices[mine]], prior, objective), wanted) <= 1e-7
        assert relative_error(many[row], wanted) <= 1e-5


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), fixed=sides, latent=st.sampled_from([2, 8]))
def test_a_score_is_the_dot_product(seed, fixed, latent):
    """What a row adds by itself, μ and the factors' part, from the columns, are the product of the whole vectors."""
    rng = np.random.default_rng(seed)
    biases = Biases.last(latent + 2, 3.5)
    users, items = published(rng, 5, latent, biases, "users"), published(rng, 7, latent, biases, "items")
    parts = users[:, :latent].astype(float) @ items[:, :latent].T.astype(float)
    parts += users[:, biases.user, None] + items[:, biases.item].astype(float)
    np.testing.assert_allclose(users.astype(float) @ items.T, parts, rtol=1e-6, atol=1e-6)
    alone = biases.offsets(users[:, biases.user], "users")[:, None] + biases.offsets(items[:, biases.item], "items")
    scores = users[:, :latent].astype(float) @ items[:, :latent].T.astype(float) + alone - biases.mean
    np.testing.assert_allclose(scores, parts, rtol=1e-6, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), fixed=sides, latent=st.sampled_from([1, 7]))
def test_without_a_mean_and_the_fixed_sides_biases_it_is_the_plain_solve(seed, fixed, latent):
    """Of one more factor, which the fixed side has as 1."""
    rng = np.random.default_rng(seed)
    biases = Biases.last(latent + 2)
    factors = published(rng, 30, latent, biases, fixed)
    factors[:, biases.column(fixed)] = 0
    indptr, indices, ratings = histories(rng, [12, 5], 30)
    biased, plain = Objective.biased_explicit(0.1, biases), Objective.mllib_explicit(0.1)
    found = fold_in_many(indptr, indices, ratings, factors, Prior(gram(factors), 30, of=fixed), biased)
    smaller = np.delete(factors, biases.column(fixed), axis=1)
    wanted = fold_in_many(indptr, indices, ratings, smaller, Prior(gram(smaller), 30), plain)
    np.testing.assert_allclose(np.delete(found, biases.column(fixed), axis=1), wanted, rtol=2e-5, atol=1e-6)
    assert (found[:, biases.column(fixed)] == 1).all()


@pytest.mark.parametrize("lambda_", [0.0, 0.1])
@pytest.mark.parametrize("fixed", ["users", "items"])
def test_without_anything_to_reach_a_row_is_what_everybody_begins_with(lambda_, fixed):
    """No rating, only ratings that are gone, or ratings that are met already."""
    rng = np.random.default_rng(2)
    biases = Biases.last(4, 3.0)
    factors = published(rng, 6, 2, biases, fixed)
    met = biases.offsets(factors[:3, biases.column(fixed)], fixed)
    ratings = np.concatenate([np.full(2, np.nan), met])
    prior, objective = Prior(gram(factors), 6, of=fixed), Objective.biased_explicit(lambda_, biases)
    found = fold_in_many(np.array([0, 0, 2, 5]), np.array([4, 5, 0, 1, 2]), ratings, factors, prior, objective)
    begin = [0, 0, 0, 1] if fixed == "items" else [0, 0, 1, 3]
    np.testing.assert_allclose(found, [begin] * 3, atol=1e-6)


@pytest.mark.parametrize("fixed", ["users", "items"])
def test_a_singular_system_has_the_solution_of_least_norm(fixed):
    """Two ratings for a dozen unknowns, without regularisation: both are met, by the shortest vector."""
    rng = np.random.default_rng(4)
    biases = Biases.last(12, 3.0)
    factors = published(rng, 9, 10, biases, fixed)
    prior, objective = Prior(gram(factors), 9, of=fixed), Objective.biased_explicit(0.0, biases)
    found = fold_in_many(np.array([0, 2]), np.array([3, 7]), np.array([1.0, 5.0]), factors, prior, objective)[0]
    assert (found @ factors[[3, 7]].T).tolist() == pytest.approx([1.0, 5.0], abs=1e-5)
    column = biases.column(fixed)
    targets = np.array([1.0, 5.0]) - biases.offsets(factors[[3, 7], column], fixed)
    least = np.linalg.pinv(np.delete(factors[[3, 7]].astype(float), column, axis=1)) @ targets
    if fixed == "users":
        found[biases.item] -= 3.0
    np.testing.assert_allclose(np.delete(found, column), least, rtol=1e-4, atol=1e-5)


def test_a_vector_beyond_float32_becomes_the_one_of_nobody():
    biases = Biases.last(3, 2.0)
    factors = np.array([[1e-38, 1, 2]], np.float32)
    prior, objective = Prior(gram(factors), 1, of="items"), Objective.biased_explicit(0.0, biases)
    factors[0, 1] = 1e-38
    found = fold_in_many(np.array([0, 1]), np.array([0]), np.array([9.0]), factors, prior, objective)
    assert found.tolist() == [[0, 0, 1]]


def test_whose_rows_are_fixed_must_be_said():
    objective = Objective.biased_explicit(0.1, Biases.last(3))
    factors, prior = np.ones((2, 3), np.float32), Prior(np.eye(3), 2)
    with pytest.raises(ValueError, match="whose rows"):
        fold_in(np.ones(2), factors, prior, objective)
    with pytest.raises(ValueError, match="whose rows"):
        fold_in_many(np.array([0, 1]), np.array([0]), np.ones(1), factors, prior, objective)
