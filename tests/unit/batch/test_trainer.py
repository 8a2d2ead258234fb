"""Our own trainer, as the batch layer calls it."""

import msgspec
import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from batch_layer.engine import Cancelled
from batch_layer.recipe import recipe_of
from batch_layer.trainer import fitted_items
from oryx_py.config import Input, Model
from oryx_py.model.csr import Csr
from oryx_py.numerics.cg import fold_in_many
from oryx_py.numerics.fold_in import Prior
from oryx_py.numerics.gram import gram

ITEMS = 12


def histories(seed: int = 1) -> Csr:
    """Two tastes that never mix; the last item is known, but unobserved."""
    rng = np.random.default_rng(seed)
    rows, columns = np.nonzero(rng.random((40, ITEMS - 1)) < 0.6)
    same = rows % 2 == columns % 2
    rows, columns = np.append(rows[same], 0), np.append(columns[same], ITEMS - 1)
    strengths = np.append(np.ones(same.sum()), 0.0)
    return Csr.from_pairs(rows, columns, strengths, 40)


@pytest.fixture(params=["implicit", "explicit"])
def recipe(request):
    return recipe_of(Model(feedback=request.param, features=2, lambda_=0.01), "ials", Input())


def test_the_factors_tell_the_tastes_apart(recipe):
    known = histories()
    items = fitted_items(known, ITEMS, recipe)
    users = fold_in_many(
        known.indptr, known.indices, known.strengths, items, Prior(gram(items), ITEMS), recipe.objective
    )
    scores = users @ items.T
    if recipe.objective.feedback == "implicit":
        some = np.diff(known.indptr) > 0
        own = np.equal.outer(np.arange(40) % 2, np.arange(ITEMS - 1) % 2)[some]
        assert scores[some, :-1][own].min() > scores[some, :-1][~own].max()
        assert not items[-1].any(), "nothing to train on"
    else:
        for user in range(40):
            row, strengths = known.row(user)
            rated = strengths > 0
            np.testing.assert_allclose(scores[user, row[rated]], 1.0, atol=0.3)


def test_the_same_seed_gives_the_same_bits_and_another_one_others(recipe):
    once, again = (fitted_items(histories(), ITEMS, recipe) for _ in range(2))
    other = fitted_items(histories(), ITEMS, msgspec.structs.replace(recipe, seed=2))
    assert (once == again).all()
    assert (once != other).any()


def test_the_threads_of_blas_change_no_bit():
    """At a size at which its products are shared among threads, which add in another order."""
    rng = np.random.default_rng(0)
    users, items = 20_000, 9_000
    pairs = np.unique(rng.integers(0, users * items, 100_000))
    known = Csr.from_pairs(pairs // items, pairs % items, np.ones(len(pairs)), users)
    how = recipe_of(Model(features=32, iterations=2, lambda_=0.01), "ials", Input())
    found = []
    for threads in (1, 2):
        with threadpool_limits(limits=threads, user_api="blas"):
            found.append(fitted_items(known, items, how))
    assert (found[0] == found[1]).all()


def test_it_stops_after_a_sweep_where_asked(recipe):
    asked = []

    def cancelled() -> bool:
        asked.append(1)
        return len(asked) == 3

    with pytest.raises(Cancelled):
        fitted_items(histories(), ITEMS, recipe, cancelled=cancelled)
    assert len(asked) == 3


def test_settings_become_the_loss_of_the_trainer():
    model = Model(unobserved_weight=0.2, lambda_=0.003, nu=0.5, alpha=2.0)
    objective = recipe_of(model, "ials", Input()).objective
    assert (objective.g, objective.rho, objective.kappa, objective.alpha, objective.nu) == (0.2, 0.2, 0.0, 2.0, 0.5)
    assert recipe_of(model, "mllib", Input()).objective.g == 1.0
