"""The trainer's sweeps with biases: each half the minimum of the loss, and never a column that must stay 1 moved."""

from itertools import islice, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oryx_py.numerics.als import State, Threads, loss, observed, start, sweep
from oryx_py.numerics.als.phases import turn_of
from oryx_py.numerics.biases import Biases
from oryx_py.numerics.gram import gram
from oryx_py.numerics.objective import Objective
from tests.support.biases import biased_ridge, published
from tests.support.ridge import relative_error

USERS, ITEMS = 23, 17
TO_THE_END = 60
"""Steps that solve any row here."""
objectives = st.builds(
    lambda lambda_, mean, latent: Objective.biased_explicit(lambda_, Biases.last(latent + 2, mean)),
    st.sampled_from([0.02, 0.3]),
    st.sampled_from([0.0, 3.5]),
    st.sampled_from([1, 4]),
)


def world(seed: int):
    """Random ratings, many of them 0; the first user has only such, the second user and the last item none."""
    rng = np.random.default_rng(seed)
    rows, columns = np.nonzero(rng.random((USERS, ITEMS)) < 0.4)
    kept = (rows != 1) & (columns < ITEMS - 1)
    rows, columns = rows[kept], columns[kept]
    ratings = rng.choice([0.0, 0.0, 1.0, 4.0, 5.0, -1.0], len(rows))
    ratings[rows == 0] = 0.0
    return rows, columns, ratings, (USERS, ITEMS)


def states(pairs, objective, seed: int, *, steps: int = 2):
    """Sweep after sweep from a random beginning: each state, and the loss that it tells."""
    sides = observed(*pairs, objective)
    k = objective.biases.item + 1
    items = start(ITEMS, k, np.random.default_rng(seed), objective.biases)
    with Threads(*sides, k, steps=steps) as workers:
        state = State(np.zeros((USERS, k), np.float32), items, workers.gram("items", items))
        while True:
            state, told = sweep(workers, state, objective)
            yield state, told


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), objective=objectives)
def test_with_enough_steps_a_half_sweep_is_the_minimum(seed, objective):
    """Of users against items and of items against users; who has no rating is what everybody begins with."""
    pairs, rng, biases = world(seed), np.random.default_rng(seed), objective.biases
    latent, k = biases.user, biases.item + 1
    by_users, by_items = observed(*pairs, objective)
    for side, fixed_side in ((by_users, "items"), (by_items, "users")):
        mine, theirs = (pairs[0], pairs[1]) if fixed_side == "items" else (pairs[1], pairs[0])
        fixed = published(rng, side.others, latent, biases, fixed_side)
        turn = turn_of(gram(fixed), objective, fixed_side)
        others = observed(np.empty(0, int), np.empty(0, int), np.empty(0), (side.others, side.rows), objective)[0]
        with Threads(side, others, k, steps=TO_THE_END) as workers:
            turned = workers.turn("items", fixed, turn)
            begin = rng.normal(size=(side.rows, k)).astype(np.float32)
            found, _ = workers.improve("users", begin, turned, turn)
        np.testing.assert_array_equal(turned, fixed)
        for row in range(side.rows):
            told = mine == row
            wanted = biased_ridge(pairs[2][told], fixed[theirs[told]], fixed_side, biases.mean, objective.lambda_)
            assert relative_error(found[row], wanted) <= 1e-3, (fixed_side, row)
        assert (found[:, biases.column(fixed_side)] == 1).all()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), objective=objectives, steps=st.sampled_from([1, 2, 3]))
def test_no_sweep_raises_the_loss(seed, objective, steps):
    pairs = world(seed)
    sides = observed(*pairs, objective)
    run = list(islice(states(pairs, objective, seed, steps=steps), 6))
    losses = [loss(*sides, state.users, state.items, objective) for state, _ in run]
    scale = max(abs(losses[0]), 1.0)
    assert all(after <= before + 1e-4 * scale for before, after in pairwise(losses)), losses
    # What a sweep tells lies between its two ends.
    for before, after, (_, told) in zip(losses, losses[1:], run[1:], strict=False):
        assert after - 1e-4 * scale <= told <= before + 1e-4 * scale
    state, _ = run[-1]
    assert (state.users[:, objective.biases.item] == 1).all()
    assert (state.items[:, objective.biases.user] == 1).all()


def test_the_loss_is_the_sum_over_all_ratings():
    pairs, biases = world(3), Biases.last(4, 3.5)
    objective = Objective.biased_explicit(0.1, biases)
    rng = np.random.default_rng(3)
    users, items = published(rng, USERS, 2, biases, "users"), published(rng, ITEMS, 2, biases, "items")
    total = 0.0
    for user, item, rating in zip(*pairs[:3], strict=True):
        p, b_u, q, b_i = users[user, :2], users[user, 2], items[item, :2], items[item, 3] - 3.5
        score = 3.5 + b_u + b_i + float(p @ q)
        total += (rating - score) ** 2 - rating**2
        # λ of a row counts its ratings, so each rating brings its row's norm once.
        total += 0.1 * (float(p @ p) + b_u**2 + float(q @ q) + b_i**2)
    assert loss(*observed(*pairs, objective), users, items, objective) == pytest.approx(total, rel=1e-5)


def test_planted_biases_are_found():
    """Ratings that users and items make each by themselves are met nearly, also those that were not told."""
    rng = np.random.default_rng(5)
    truth = 3.0 + rng.normal(size=(60, 1)) * 0.5 + rng.normal(size=(1, 40)) * 0.8
    rows, columns = np.nonzero(rng.random(truth.shape) < 0.4)
    ratings = truth[rows, columns]
    objective = Objective.biased_explicit(0.02, Biases.last(4, float(ratings.mean())))
    sides = observed(rows, columns, ratings, truth.shape, objective)
    items = start(40, 4, rng, objective.biases)
    with Threads(*sides, 4) as workers:
        state = State(np.zeros((60, 4), np.float32), items, workers.gram("items", items))
        for _ in range(12):
            state, _ = sweep(workers, state, objective)
    assert np.sqrt(np.mean((state.users @ state.items.T - truth) ** 2)) < 0.1
