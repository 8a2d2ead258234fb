"""The validation of a training against its definition, list by list."""

import numpy as np
import pytest

from oryx_py.numerics.als.validation import hold_out, ndcg_at_10, rmse, sample
from oryx_py.numerics.fold_in.dense import Prior, fold_in
from oryx_py.numerics.gram import gram
from oryx_py.numerics.objective import Objective
from oryx_py.numerics.ranking.metrics import ndcg
from oryx_py.numerics.ranking.topn import top_n

USERS, ITEMS = 60, 40


def histories(seed: int = 0):
    rng = np.random.default_rng(seed)
    there = rng.random((USERS, ITEMS)) < 0.4
    indptr = np.concatenate([[0], np.cumsum(there.sum(axis=1))])
    indices = np.nonzero(there)[1].astype(np.int32)
    return indptr, indices, rng.choice([1.0, 2.0, 4.0, -1.0], len(indices))


@pytest.mark.parametrize("twins", [False, True])
def test_ndcg_is_that_of_the_ranked_lists(twins):
    """Also with equal scores, of which the lower row comes first."""
    rng = np.random.default_rng(1)
    items = rng.normal(size=(ITEMS, 4)).astype(np.float32)
    if twins:
        items[20:] = items[:20]
    objective = Objective.ials(0.1, 0.02)
    held = hold_out(np.arange(5, 55), *histories(), rng)
    prior = Prior(gram(items), ITEMS)
    found = []
    for row in range(len(held.users)):
        known = slice(held.indptr[row], held.indptr[row + 1])
        wanted = held.targets[held.target_indptr[row] : held.target_indptr[row + 1]]
        x = fold_in(held.strengths[known], items[held.indices[known]], prior, objective)
        scores = (items @ x.astype(np.float32)).astype(np.float32)
        scores[held.indices[known]] = -np.inf
        ranked = top_n(scores, 10)
        found.append(ndcg(ranked[np.isfinite(scores[ranked])], wanted.astype(np.int64), 10))
    assert ndcg_at_10(held, items, gram(items), objective, threads=2) == pytest.approx(np.nanmean(found), abs=2e-3)


def test_rmse_is_that_of_the_held_out_ratings():
    rng = np.random.default_rng(2)
    items = rng.normal(size=(ITEMS, 3)).astype(np.float32)
    objective = Objective.mllib_explicit(0.1)
    held = hold_out(np.arange(20), *histories(), rng, positive=False)
    errors = []
    for row in range(20):
        known = slice(held.indptr[row], held.indptr[row + 1])
        wanted = slice(held.target_indptr[row], held.target_indptr[row + 1])
        x = fold_in(held.strengths[known], items[held.indices[known]], Prior(gram(items), ITEMS), objective)
        errors += (items[held.targets[wanted]] @ x - held.target_strengths[wanted]).tolist()
    assert rmse(held, items, gram(items), objective) == pytest.approx(np.sqrt(np.mean(np.square(errors))), rel=1e-5)


def test_a_fifth_of_the_positive_pairs_is_held_out_and_nothing_lost():
    indptr, indices, strengths = histories()
    held = hold_out(np.arange(USERS), indptr, indices, strengths, np.random.default_rng(3))
    assert (held.target_strengths > 0).all()
    for user in range(USERS):
        mine = slice(indptr[user], indptr[user + 1])
        folded = held.indices[held.indptr[user] : held.indptr[user + 1]].tolist()
        wanted = held.targets[held.target_indptr[user] : held.target_indptr[user + 1]].tolist()
        assert sorted(folded + wanted) == indices[mine].tolist()
        assert wanted == sorted(wanted)
        assert len(wanted) == round(0.2 * (strengths[mine] > 0).sum())


@pytest.mark.parametrize(
    ("users", "expected"), [(0, 0), (499, 0), (500, 50), (1000, 100), (20_000, 400), (200_000, 2000)]
)
def test_so_many_users_are_held_out(users, expected):
    indptr = np.arange(users + 1) * 6
    found = sample(indptr, np.random.default_rng(0))
    assert len(np.unique(found)) == len(found) == expected
    assert (np.diff(found) > 0).all()


def test_users_of_few_pairs_are_never_held_out():
    sizes = np.where(np.arange(2000) % 2, 4, 5)
    found = sample(np.concatenate([[0], np.cumsum(sizes)]), np.random.default_rng(0))
    assert len(found)
    assert (found % 2 == 0).all()
