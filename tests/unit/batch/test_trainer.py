"""Our own trainer, as its task trains: what it finds, and what changes no bit of it."""

from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from batch_layer.recipe import recipe_of
from batch_layer.training.alone import Alone, train_alone
from batch_layer.training.job import Job
from oryx_py.config import Input, Model
from oryx_py.model.generations.history_files import map_histories
from oryx_py.numerics.fold_in.batched import fold_in_many
from oryx_py.numerics.fold_in.dense import Prior
from oryx_py.numerics.gram import gram
from oryx_py.numerics.objective import Objective
from tests.support.training import Tastes, prepared, recipe

ITEMS = 12


def two_tastes() -> tuple[Tastes, np.ndarray]:
    """Two tastes that never mix; the last item is known, but unobserved."""
    rng = np.random.default_rng(1)
    rows, columns = np.nonzero(rng.random((40, ITEMS - 1)) < 0.6)
    same = rows % 2 == columns % 2
    users, items = np.append(rows[same], 0), np.append(columns[same], ITEMS - 1)
    return Tastes(users, items, (40, ITEMS)), np.append(np.ones(same.sum()), 0.0)


def trained(folder: Path, world: Tastes, strengths: np.ndarray, **model) -> tuple[Job, np.ndarray]:
    sizes = prepared(folder / "into", world, strengths)
    job = Job(folder / "into", folder, sizes.users, sizes.items, recipe(**model))
    train_alone(Alone(job, threads=2), folder / "items.npy")
    return job, np.load(folder / "items.npy")


@pytest.mark.parametrize("feedback", ["implicit", "explicit"])
def test_the_factors_tell_the_tastes_apart(tmp_path, feedback):
    world, strengths = two_tastes()
    job, items = trained(tmp_path, world, strengths, features=2, iterations=10, feedback=feedback)
    known = map_histories(job.into, "users")
    prior = Prior(gram(items), ITEMS)
    users = fold_in_many(known.indptr, known.indices, known.strengths, items, prior, job.recipe.objective)
    scores = users @ items.T
    if feedback == "implicit":
        own = np.equal.outer(np.unique(world.users) % 2, np.arange(ITEMS - 1) % 2)
        assert scores[:, :-1][own].min() > scores[:, :-1][~own].max()
        assert not items[-1].any(), "nothing to train on"
    else:
        for user in range(job.users):
            row, told = known.row(user)
            np.testing.assert_allclose(scores[user, row[told > 0]], 1.0, atol=0.3)


def test_the_same_seed_gives_the_same_bits_and_another_one_others(tmp_path):
    once, again, other = (
        trained(tmp_path / name, *two_tastes(), seed=seed)[1] for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert (once == again).all()
    assert (once != other).any()


def test_the_threads_of_blas_change_no_bit(tmp_path):
    """At a size at which its products are shared among threads, which add in another order."""
    rng = np.random.default_rng(0)
    users, items = 20_000, 9_000
    pairs = np.unique(rng.integers(0, users * items, 100_000))
    world = Tastes(pairs // items, pairs % items, (users, items))
    found = []
    for threads in (1, 2):
        with threadpool_limits(limits=threads, user_api="blas"):
            folder = tmp_path / str(threads)
            found.append(trained(folder, world, np.ones(len(pairs)), features=32, iterations=2)[1])
    assert (found[0] == found[1]).all()


def test_settings_become_the_loss_of_the_trainer():
    model = Model(unobserved_weight=0.2, lambda_=0.003, nu=0.5, alpha=2.0)
    objective = recipe_of(model, "ials", Input()).objective
    assert (objective.g, objective.rho, objective.kappa, objective.nu) == (0.2, 0.2, 0.0, 0.5)
    assert recipe_of(model, "mllib", Input()).objective == Objective.mllib_implicit(0.003, 2.0)
