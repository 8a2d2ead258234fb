"""From ratings in files to a generation with biases, and what the speed layer makes of it; without Spark."""

from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from batch_layer.training.alone import Alone, train_alone
from batch_layer.training.item_training import train_items
from batch_layer.training.job import Job
from batch_layer.training.mapped_workers import MappedWorkers
from batch_layer.training.warm_start import begin
from oryx_py.events import Interaction
from oryx_py.model.generations.generation import Generation
from oryx_py.model.generations.history_files import map_histories
from oryx_py.model.generations.writer import commit_generation, seal
from oryx_py.model.state.model_state import ModelState
from oryx_py.numerics.fold_in.batched import fold_in_many
from oryx_py.numerics.fold_in.dense import Prior
from oryx_py.numerics.gram import gram
from speed_layer.folding.exact_fold import ExactFold
from tests.support.biases import biased_ridge
from tests.support.training import Tastes, prepared, recipe

USERS, ITEMS, LATENT, LAMBDA = 90, 40, 3, 0.05
HOW = {"feedback": "explicit", "biases": True, "features": LATENT, "iterations": 8, "lambda_": LAMBDA}


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    with threadpool_limits(limits=1, user_api="blas"):
        yield


def truth() -> np.ndarray:
    """What everybody would say of everything: half of it of the user and of the item, half of the two together."""
    rng = np.random.default_rng(11)
    together = rng.normal(size=(USERS, 1)) @ rng.normal(size=(1, ITEMS)) * 0.5
    return 3.0 + 0.5 * rng.normal(size=(USERS, 1)) + 0.8 * rng.normal(size=(1, ITEMS)) + together


def job_of(folder: Path, name: str, share: float = 0.5, parent: Path | None = None, **how) -> Job:
    """Prepare ratings of a share of it, some of which are 0."""
    rng = np.random.default_rng(12)
    users, items = np.nonzero(rng.random((USERS, ITEMS)) < share)
    ratings = np.where(rng.random(len(users)) < 0.01, 0.0, truth()[users, items])
    sizes = prepared(folder / name, Tastes(users, items, (USERS, ITEMS)), ratings)
    assert (sizes.users, sizes.items) == (USERS, ITEMS)
    (folder / f"{name}.work").mkdir()
    centred = recipe(**{**HOW, **how}).fitted_to(ratings)
    return Job(folder / name, folder / f"{name}.work", USERS, ITEMS, centred, parent)


def publish(job: Job, items: np.ndarray) -> Generation:
    """Finish a generation as publishing does."""
    known, objective = map_histories(job.into, "users"), job.recipe.objective
    prior = Prior(gram(items), len(items), of="items")
    users = fold_in_many(known.indptr, known.indices, known.strengths, items, prior, objective)
    for side, factors in (("users", users), ("items", items)):
        np.save(job.into / f"{side}.npy", factors)
        np.save(job.into / f"{side}.gram.npy", gram(factors))
    commit_generation(
        job.into,
        seal(job.into),
        name="g",
        objective=objective,
        fold=job.recipe.fold,
        trainer="ials",
        created_ms=0,
        as_of_ms=0,
        input={0: (0, 10)},
        interactions=10,
        rejected=0,
    )
    return Generation.open(job.into)


@pytest.fixture(scope="module")
def job(tmp_path_factory) -> Job:
    return job_of(tmp_path_factory.mktemp("biases"), "one")


@pytest.fixture(scope="module")
def generation(job) -> Generation:
    train_alone(Alone(job, threads=1), job.work / "items.npy")
    return publish(job, np.load(job.work / "items.npy"))


def test_the_manifest_tells_the_mean_and_the_columns(generation):
    strengths, manifest = generation.user_histories.strengths, generation.manifest
    assert (strengths == 0).any()
    assert manifest.features == LATENT + 2
    assert generation.latent_features == LATENT
    assert manifest.objective.biases.mean == pytest.approx(strengths.mean(), rel=1e-12)
    assert manifest.objective.settings == recipe(**HOW).objective
    assert (generation.user_factors[:, LATENT + 1] == 1).all()
    assert (generation.item_factors[:, LATENT] == 1).all()


def test_folding_an_unchanged_history_in_gives_the_stored_vector(generation):
    mean = generation.manifest.objective.biases.mean
    for row in range(USERS):
        items, ratings = generation.user_histories.row(row)
        wanted = biased_ridge(ratings, generation.item_factors[items], "items", mean, LAMBDA)
        assert np.linalg.norm(generation.user_factors[row] - wanted) <= 1e-5 * np.linalg.norm(wanted)


def test_what_was_not_told_is_predicted(generation):
    """Nearer than by the items' means, which know nothing of the users."""
    told, ratings = np.zeros((USERS, ITEMS), np.bool_), np.zeros((USERS, ITEMS))
    for row in range(USERS):
        items, values = generation.user_histories.row(row)
        told[row, items], ratings[row, items] = True, values
    by_means = ratings.sum(axis=0) / told.sum(axis=0) - truth()
    errors = generation.user_factors @ generation.item_factors.T - truth()
    assert np.sqrt(np.mean(errors[~told] ** 2)) < 0.7 * np.sqrt(np.mean(by_means[~told] ** 2))


def test_the_speed_layer_goes_on_with_new_users_and_items(generation):
    state = ModelState(generation, epoch=1)
    fold = ExactFold(state, partitions=1)
    posted = [("new", "items-00000001", 5.0), ("new", "items-00000002", 0.0)]
    posted += [("users-00000003", "fresh", 1.0), ("users-00000004", "fresh", 4.0), ("z", "fresh", 2.0)]
    for offset, (user, item, rating) in enumerate(posted):
        fold.add(Interaction(user, item, rating), 0, 10 + offset)
    fold.flush()
    mean, items = generation.manifest.objective.biases.mean, generation.item_factors
    close = {"rtol": 1e-4, "atol": 1e-5}

    def vector(user: str) -> np.ndarray:
        return state.user_vector(state.users.find(user))

    wanted = biased_ridge(np.array([5.0, 0.0]), items[[1, 2]], "items", mean, LAMBDA)
    np.testing.assert_allclose(vector("new"), wanted, **close)
    np.testing.assert_allclose(vector("users-00000003"), generation.user_factors[3], **close)
    fresh = state.item_vector(state.items.find("fresh"))
    raters = generation.user_factors[[3, 4]]
    np.testing.assert_allclose(fresh, biased_ridge(np.array([1.0, 4.0]), raters, "users", mean, LAMBDA), **close)
    wanted = biased_ridge(np.array([2.0]), fresh[None], "items", mean, LAMBDA)
    np.testing.assert_allclose(vector("z"), wanted, **close)


def test_many_tasks_come_to_the_same_bits(job, generation):
    def run(work, given):
        return [work(blocks) for blocks in given]

    outcome = train_items(
        job,
        lambda out: MappedWorkers(job, out, run, tasks=3, name="t"),
        threads=1,
        after_epoch=lambda *_: None,
    )
    np.testing.assert_array_equal(outcome.items, generation.item_factors)


def test_a_warm_start_goes_on_from_biases_and_not_from_vectors_without(generation, tmp_path):
    more = {"share": 0.6, "warm_start": True}
    found = begin(job_of(tmp_path, "warm", parent=generation.path, **more), threads=1)
    assert found.warm
    np.testing.assert_array_equal(found.items, generation.item_factors)
    plain = job_of(tmp_path, "plain", biases=False, features=LATENT + 2)
    train_alone(Alone(plain, threads=1), plain.work / "items.npy")
    publish(plain, np.load(plain.work / "items.npy"))
    found = begin(job_of(tmp_path, "cold", parent=plain.into, **more), threads=1)
    assert not found.warm
    assert (found.items[:, LATENT] == 1).all()
    assert (found.users[:, LATENT + 1] == 1).all()
