"""The trainer's sweeps against a dense solve, and the laws that they keep."""

from itertools import islice, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oryx_py.numerics.als import (
    Course,
    Epoch,
    Observed,
    Plan,
    State,
    Threads,
    best_of,
    fitted,
    is_over,
    loss,
    observed,
    phases,
    start,
    sweep,
    train,
)
from oryx_py.numerics.als.phases import Block, Turn, blocks, turn_of
from oryx_py.numerics.fold_in.dense import Prior, fold_in
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


def improved(side, rows, fixed, objective, *, steps: int = TO_THE_END):
    """One half sweep of a side, which need not be the users; returns it and the fixed side, both turned."""
    others = observed(np.empty(0, int), np.empty(0, int), np.empty(0), (side.others, side.rows), objective)[0]
    turn = turn_of(gram(fixed), objective, "items")
    with Threads(side, others, fixed.shape[1], threads=2, steps=steps) as workers:
        turned = workers.turn("items", fixed, turn)
        return workers.improve("users", rows, turned, turn)[0], turned


def states(sides, k: int, objective, seed: int, *, threads: int = 1, steps: int = 2):
    """Sweep after sweep from a random beginning: each one's state, the one before it, and the loss that it tells."""
    rng = np.random.default_rng(seed)
    users, items = (start(side.rows, k, rng) for side in sides)
    with Threads(*sides, k, threads=threads, steps=steps) as workers:
        state = State(users, items, workers.gram("items", items))
        while True:
            before = state
            state, told = sweep(workers, state, objective)
            yield before, state, told


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
def test_with_enough_steps_a_half_sweep_is_the_dense_solve(seed, objective, k):
    pairs = world(seed)
    rng = np.random.default_rng(seed)
    for number, side in enumerate(observed(*pairs, objective)):
        fixed = rng.normal(size=(side.others, k)).astype(np.float32)
        rows, turned = improved(side, start(side.rows, k, rng), fixed, objective)
        expected = dense(pairs, fixed, objective, side.rows, number) @ fixed.T
        np.testing.assert_allclose(rows @ turned.T, expected, rtol=5e-3, atol=5e-3 * np.abs(expected).max())


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), objective=st.sampled_from(OBJECTIVES), steps=st.sampled_from([1, 2, 3]))
def test_no_sweep_raises_the_loss(seed, objective, steps):
    sides = observed(*world(seed), objective)
    run = islice(states(sides, 4, objective, seed, steps=steps), 6)
    losses = [loss(*sides, state.users, state.items, objective) for _, state, _ in run]
    scale = max(abs(losses[0]), 1.0)
    assert all(after <= before + 1e-4 * scale for before, after in pairwise(losses)), losses


@pytest.mark.parametrize("lambda_", [0.0, 1e-12, 1e-9])
@pytest.mark.parametrize(("users", "items"), [(3, 4), (40, 20), (20, 200)])
def test_more_features_than_there_are_rows_do_no_harm_without_regularisation(users, items, lambda_):
    """What is left of features in which the other side has nothing is rounding: steps there went beyond float32."""
    objective = Objective.ials(alpha0=0.1, lambda_=lambda_)
    sides = observed(*world(5, users, items), objective)
    losses = [told for _, _, told in islice(states(sides, 32, objective, 5), 10)]
    # The first sweep has what the random beginning left.
    assert all(after <= before + 1e-3 * abs(before) for before, after in pairwise(losses[1:])), losses


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), objective=st.sampled_from(OBJECTIVES))
def test_a_sweep_tells_the_loss_that_it_met_between_its_halves(seed, objective):
    sides = observed(*world(seed), objective)
    for sweep_, (before, state, told) in enumerate(islice(states(sides, 4, objective, seed), 4)):
        if sweep_:  # before the first, rows without a target are not 0 yet
            turn = turn_of(before.gram, objective, "items")
            with Threads(*sides, 4) as workers:
                fixed = workers.turn("items", before.items, turn)
                users, _ = workers.improve("users", before.users, fixed, turn)
            assert told == pytest.approx(loss(*sides, users, fixed, objective), rel=1e-4, abs=1e-4)
        assert gram(state.items) == pytest.approx(state.gram, rel=1e-9, abs=1e-9)


def test_the_loss_is_the_sum_over_all_pairs():
    objective = OBJECTIVES[0]
    pairs = world(5)
    rng = np.random.default_rng(5)
    users, items = start(pairs[3][0], 3, rng), start(pairs[3][1], 3, rng)
    strength = np.zeros(pairs[3])
    strength[pairs[0], pairs[1]] = pairs[2]
    total = 0.0
    for user, x in enumerate(users.astype(float)):
        for item, y in enumerate(items.astype(float)):
            (w,), (t,), _ = objective.weights(np.array([strength[user, item]]))
            total += w * (x @ y) ** 2 - 2 * t * (x @ y) + objective.g * (x @ y) ** 2
    for side, other, of in ((0, 1, users), (1, 0, items)):
        for row, vector in enumerate(of.astype(float)):
            n = int((pairs[2][pairs[side] == row] != 0).sum())
            total += objective.ridge(n, pairs[3][other]) * (vector @ vector)
    assert loss(*observed(*pairs, objective), users, items, objective) == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("threads", [2, 5])
def test_threads_change_nothing(objective, threads):
    """At a size of several blocks."""
    rng = np.random.default_rng(7)
    keys = np.unique(rng.integers(0, 6000 * 4000, 60_000))
    sides = observed(keys // 4000, keys % 4000, rng.choice([1.0, 3.0, -1.0], len(keys)), (6000, 4000), objective)
    assert len(blocks(sides[0].indptr, 6)) > 3
    ends = [next(islice(states(sides, 6, objective, 1, threads=n), 1, None)) for n in (1, threads)]
    (_, one, said), (_, many, said_too) = ends
    assert (one.users == many.users).all()
    assert (one.items == many.items).all()
    assert said == said_too


@settings(max_examples=50, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 40_000), max_size=200),
    features=st.sampled_from([1, 64, 4096]),
    scale=st.integers(1, 9),
)
def test_blocks_are_all_rows_once_and_of_like_work(sizes, features, scale):
    indptr = np.concatenate([[0], np.cumsum(np.array(sizes, np.int64) * scale)])
    found = blocks(indptr, features)
    assert [found[0].first, found[-1].last] == [0, len(sizes)]
    assert all(before.last == after.first for before, after in pairwise(found))
    assert len(found) <= 256
    work = [int(indptr[block.last] - indptr[block.first]) for block in found]
    assert max(work) <= indptr[-1] / len(found) * 4 + max([0, *sizes]) * scale + 16_384 * 2


def test_rows_without_a_target_become_zero():
    objective = OBJECTIVES[0]
    sides = observed(np.array([1, 1]), np.array([0, 1]), np.array([1.0, -1.0]), (3, 2), objective)
    _, found, _ = next(states(sides, 4, objective, 1))
    assert found.users.any(axis=1).tolist() == [False, True, False]
    assert found.items.any(axis=1).tolist() == [True, False]


@pytest.mark.parametrize("k", [4, 96])
def test_a_row_too_long_to_gather_is_solved_like_any_other(k):
    objective = OBJECTIVES[0]
    count = 40_001
    rng = np.random.default_rng(2)
    fixed = (rng.normal(size=(count, k)) * 0.1).astype(np.float32)
    by_users, _ = observed(np.zeros(count, int), np.arange(count), np.ones(count), (1, count), objective)
    row, turned = improved(by_users, np.zeros((1, k), np.float32), fixed, objective)
    expected = fold_in(np.ones(count), fixed, Prior(gram(fixed), count), objective)
    np.testing.assert_allclose(turned @ row[0], fixed @ expected, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("k", [5, 16, 21])
@pytest.mark.parametrize("large", [1e18, 1e30, 3e38])
def test_a_row_that_overflows_leaves_no_trace_in_others(k, large):
    rng = np.random.default_rng(8)
    objective = OBJECTIVES[0]
    fixed = rng.normal(size=(50, k)).astype(np.float32)
    fixed[0] *= large / 10
    users, items = np.repeat([0, 1, 2], 20), np.concatenate([np.arange(20), np.arange(1, 21), np.arange(1, 21)])
    pairs = users, items, np.ones(60)
    side = observed(*pairs, (3, 50), objective)[0]
    rows = rng.normal(size=(3, k)).astype(np.float32)
    rows[0] *= 1e6
    turn = Turn(np.empty((0, 0), np.float32), np.ones(k, np.float32), np.zeros(k, np.float32), -1)
    together = phases.improved(side, rows, fixed, Block(0, 3), turn)[0]
    for row in (1, 2):
        alone = phases.improved(side, rows, fixed, Block(row, row + 1), turn)[0]
        np.testing.assert_array_equal(together[row], alone[0])
    assert np.isfinite(together).all()


def test_a_planted_structure_is_found():
    """Two groups that never mix: after some sweeps a user's unseen items of the own group come before all others."""
    rng = np.random.default_rng(3)
    rows, columns = np.nonzero(rng.random((60, 40)) < 0.4)
    same = rows % 2 == columns % 2
    rows, columns = rows[same], columns[same]
    objective = Objective.ials(alpha0=0.1, lambda_=0.01)
    sides = observed(rows, columns, np.ones(len(rows)), (60, 40), objective)
    users, items = fitted(*sides, 2, objective, epochs=8, rng=rng)
    scores = users @ items.T
    own = np.equal.outer(np.arange(60) % 2, np.arange(40) % 2)
    assert scores[own].min() > scores[~own].max()


def test_pairs_outside_the_matrix_are_refused():
    with pytest.raises(ValueError, match="outside 2 users and 2 items"):
        observed(np.array([0, 2]), np.array([0, 1]), np.ones(2), (2, 2), OBJECTIVES[0])


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_whom_training_leaves_out_is_as_if_never_observed(objective):
    """The rest's weights and ridges are those of the pairs without them, and the users themselves become 0."""
    users, items, strengths, shape = world(11)
    out = np.zeros(shape[0], np.bool_)
    out[[2, 5, 6]] = True
    whole = observed(users, items, strengths, shape, objective)
    there = ~out[users]
    without = observed(users[there], items[there], strengths[there], shape, objective)
    raw = [observed(users, items, np.arange(1.0, len(users) + 1), shape, OBJECTIVES[-1])[n].targets for n in (0, 1)]
    for n, side in enumerate(whole):
        told = strengths[raw[n].astype(int) - 1]
        masks = {"rows_out": out} if n == 0 else {"others_out": out}
        found = Observed.of(side.indptr, side.indices, told, side.others, objective, **masks)
        kept = (~out[np.repeat(np.arange(side.rows), np.diff(side.indptr))]) if n == 0 else ~out[side.indices]
        assert (found.weights[kept] == without[n].weights).all()
        assert (found.targets[kept] == without[n].targets).all()
        assert not found.weights[~kept].any()
        assert not found.targets[~kept].any()
        np.testing.assert_array_equal(found.ridges, without[n].ridges)


@given(scores=st.lists(st.floats(0, 1), min_size=1, max_size=12), patience=st.integers(1, 4))
def test_training_stops_after_patience_and_keeps_the_best(scores, patience):
    """Against the plain definition, epoch by epoch."""
    plan = Plan(len(scores), patience)
    course = []
    while not is_over(course, plan):
        course.append(Epoch(len(course) + 1, 0.0, scores[len(course)]))
    best = best_of(course, plan).number
    tried = scores[: len(course)]
    assert best == tried.index(max(tried)) + 1
    assert len(course) == len(scores) or len(course) - best == patience
    assert all(number - (scores.index(max(scores[:number])) + 1) < patience for number in range(1, len(course)))


def test_the_best_epochs_factors_are_kept():
    objective = OBJECTIVES[0]
    sides = observed(*world(4), objective)
    scores = iter([0.1, 0.3, 0.2, 0.25, 0.0])
    seen = []
    with Threads(*sides, 3) as workers:
        items = start(sides[1].rows, 3, np.random.default_rng(0))
        begin = State(np.zeros((sides[0].rows, 3), np.float32), items, workers.gram("items", items))
        course = train(
            workers,
            Course(begin, begin),
            objective,
            Plan(9, 2),
            score=lambda items, _: next(scores),
            after_epoch=lambda course: seen.append(course.now.items),
        )
        again = train(workers, Course(course.now, course.best, course.epochs), objective, Plan(9, 2))
    assert [epoch.score for epoch in course.epochs] == [0.1, 0.3, 0.2, 0.25]
    assert (course.best.items == seen[1]).all()
    assert again.epochs == course.epochs, "what is over stays over"
