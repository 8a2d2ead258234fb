"""The trainer's sweeps against a dense solve, and the laws that they keep."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oryx_py.numerics.als import Trained, improved, loss, observed, start, sweeps
from oryx_py.numerics.fold_in import Prior, fold_in
from oryx_py.numerics.gram import gram
from oryx_py.numerics.objective import Objective

OBJECTIVES = [
    Objective.ials(alpha0=0.1, lambda_=0.02, nu=1.0),
    Objective.ials(alpha0=0.3, lambda_=0.01, nu=0.5),
    Objective.mllib_implicit(lambda_=0.05, alpha=2.0),
    Objective.mllib_implicit(lambda_=0.1, alpha=0.5, log_strength=True),
    Objective.mllib_explicit(lambda_=0.1),
]
TO_THE_END = 60
"""Steps that solve any row of the worlds here."""


def world(seed: int, users: int = 23, items: int = 17, share: float = 0.3):
    """Random pairs with strengths of both signs and some of 0, the first user and the last item without any."""
    rng = np.random.default_rng(seed)
    rows, columns = np.nonzero(rng.random((users, items)) < share)
    kept = (rows > 0) & (columns < items - 1)
    strengths = rng.choice([1.0, 2.0, 0.5, 5.0, -1.0, 0.0], kept.sum())
    return rows[kept], columns[kept], strengths, (users, items)


def dense(pairs, fixed, objective, rows: int, side: int) -> np.ndarray:
    """Each row's solution by the term-by-term fold-in, float64."""
    prior = Prior(gram(fixed), len(fixed))
    solved = np.zeros((rows, fixed.shape[1]))
    for row in range(rows):
        mine = pairs[side] == row
        if mine.any():
            solved[row] = fold_in(pairs[2][mine], fixed[pairs[1 - side][mine]], prior, objective)
    return solved


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), objective=st.sampled_from(OBJECTIVES), k=st.sampled_from([1, 3, 8]))
def test_with_enough_steps_a_sweep_is_the_dense_solve(seed, objective, k):
    pairs = world(seed)
    rng = np.random.default_rng(seed)
    by_users, by_items = observed(*pairs, objective)
    fixed = rng.normal(size=(pairs[3][1], k)).astype(np.float32)
    rows, turned = improved(by_users, start(by_users.rows, k, rng), fixed, objective, steps=TO_THE_END)
    expected = dense(pairs, fixed, objective, by_users.rows, 0) @ fixed.T
    np.testing.assert_allclose(rows @ turned.T, expected, rtol=5e-3, atol=5e-3 * np.abs(expected).max())
    users = rng.normal(size=(pairs[3][0], k)).astype(np.float32)
    rows, turned = improved(by_items, start(by_items.rows, k, rng), users, objective, steps=TO_THE_END)
    expected = dense(pairs, users, objective, by_items.rows, 1) @ users.T
    np.testing.assert_allclose(rows @ turned.T, expected, rtol=5e-3, atol=5e-3 * np.abs(expected).max())


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), objective=st.sampled_from(OBJECTIVES), steps=st.sampled_from([1, 2, 3]))
def test_no_sweep_raises_the_loss(seed, objective, steps):
    pairs = world(seed)
    rng = np.random.default_rng(seed)
    sides = observed(*pairs, objective)
    begin = Trained(start(pairs[3][0], 4, rng), start(pairs[3][1], 4, rng))
    run = sweeps(*sides, begin, objective, steps=steps)
    losses = [loss(*sides, next(run), objective) for _ in range(6)]
    scale = max(abs(losses[0]), 1.0)
    assert all(after <= before + 1e-4 * scale for before, after in pairwise(losses)), losses


def test_the_loss_is_the_sum_over_all_pairs():
    objective = OBJECTIVES[0]
    pairs = world(5)
    rng = np.random.default_rng(5)
    factors = Trained(start(pairs[3][0], 3, rng), start(pairs[3][1], 3, rng))
    strength = np.zeros(pairs[3])
    strength[pairs[0], pairs[1]] = pairs[2]
    total = 0.0
    for user, x in enumerate(factors.users.astype(float)):
        for item, y in enumerate(factors.items.astype(float)):
            (w,), (t,), _ = objective.weights(np.array([strength[user, item]]))
            total += w * (x @ y) ** 2 - 2 * t * (x @ y) + objective.g * (x @ y) ** 2
    for side, other, of in ((0, 1, factors.users), (1, 0, factors.items)):
        for row, vector in enumerate(of.astype(float)):
            n = int((pairs[2][pairs[side] == row] != 0).sum())
            total += objective.ridge(n, pairs[3][other]) * (vector @ vector)
    assert loss(*observed(*pairs, objective), factors, objective) == pytest.approx(total, rel=1e-5)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), objective=st.sampled_from(OBJECTIVES), threads=st.integers(2, 5))
def test_threads_change_nothing(seed, objective, threads):
    pairs = world(seed, users=90, items=40)
    rng = np.random.default_rng(seed)
    sides = observed(*pairs, objective)
    begin = Trained(start(90, 5, rng), start(40, 5, rng))
    one, many = (next(sweeps(*sides, begin, objective, threads=n)) for n in (1, threads))
    assert (one.users == many.users).all()
    assert (one.items == many.items).all()


def test_rows_without_a_target_become_zero():
    objective = OBJECTIVES[0]
    by_users, by_items = observed(np.array([1, 1]), np.array([0, 1]), np.array([1.0, -1.0]), (3, 2), objective)
    rng = np.random.default_rng(1)
    found = next(sweeps(by_users, by_items, Trained(start(3, 4, rng), start(2, 4, rng)), objective))
    assert found.users.any(axis=1).tolist() == [False, True, False]
    assert found.items.any(axis=1).tolist() == [True, False]


def test_a_row_too_long_to_gather_is_solved_like_any_other():
    objective = OBJECTIVES[0]
    count = 5000
    rng = np.random.default_rng(2)
    fixed = (rng.normal(size=(count, 4)) * 0.1).astype(np.float32)
    by_users, _ = observed(np.zeros(count, int), np.arange(count), np.ones(count), (1, count), objective)
    row, turned = improved(by_users, np.zeros((1, 4), np.float32), fixed, objective, steps=TO_THE_END)
    expected = fold_in(np.ones(count), fixed, Prior(gram(fixed), count), objective)
    np.testing.assert_allclose(turned @ row[0], fixed @ expected, rtol=1e-3, atol=1e-4)


def test_a_planted_structure_is_found():
    """Two groups that never mix: after some sweeps a user's unseen items of the own group come before all others."""
    rng = np.random.default_rng(3)
    rows, columns = np.nonzero(rng.random((60, 40)) < 0.4)
    same = rows % 2 == columns % 2
    rows, columns = rows[same], columns[same]
    objective = Objective.ials(alpha0=0.1, lambda_=0.01)
    sides = observed(rows, columns, np.ones(len(rows)), (60, 40), objective)
    run = sweeps(*sides, Trained(start(60, 2, rng), start(40, 2, rng)), objective)
    for _ in range(8):
        found = next(run)
    scores = found.users @ found.items.T
    own = np.equal.outer(np.arange(60) % 2, np.arange(40) % 2)
    assert scores[own].min() > scores[~own].max()


def test_pairs_outside_the_matrix_are_refused():
    with pytest.raises(ValueError, match="outside 2 users and 2 items"):
        observed(np.array([0, 2]), np.array([0, 1]), np.ones(2), (2, 2), OBJECTIVES[0])
