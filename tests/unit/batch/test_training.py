"""Training on mapped files, without Spark: who works changes nothing; who is left out; where a warm start begins."""

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from batch_layer.engine import Cancelled
from batch_layer.training.alone import Alone, ask_to_end, progress_of, train_alone
from batch_layer.training.held_out import validation_of
from batch_layer.training.item_training import train_items
from batch_layer.training.job import Job
from batch_layer.training.mapped_workers import MappedWorkers
from batch_layer.training.warm_start import begin, known_rows, starts_warm
from oryx_py.model.generations.csr import Csr
from oryx_py.model.generations.history_files import map_histories
from oryx_py.model.generations.manifest import MANIFEST, write_manifest
from oryx_py.model.ids.id_table import IdTable
from oryx_py.numerics.als.phases import Block, Half
from oryx_py.numerics.als.validation import hold_out, ndcg_at_10
from oryx_py.numerics.fold_in.batched import fold_in_many
from oryx_py.numerics.fold_in.dense import Prior
from oryx_py.numerics.gram import gram
from oryx_py.testing.generations import write_small_generation
from tests.support.training import Tastes, prepared, recipe, tastes


@pytest.fixture(autouse=True)
def _one_thread():
    with threadpool_limits(limits=1, user_api="blas"):
        yield


def job_of(folder: Path, name: str = "one", world=None, parent: Path | None = None, **model) -> Job:
    sizes = prepared(folder / name, world or tastes(900, 400, 12_000))
    work = folder / f"{name}.work"
    work.mkdir()
    return Job(folder / name, work, sizes.users, sizes.items, recipe(**model), parent)


def twice_and_backwards(
    work: Callable[[Sequence[Block]], list[Half]], given: Sequence[Sequence[Block]]
) -> list[list[Half]]:
    """Run every task twice, the last first: as a cluster may that loses some."""
    found = {}
    for number in [*reversed(range(len(given))), *range(len(given))]:
        found[number] = work(given[number])
    return [found[number] for number in range(len(given))]


@pytest.mark.parametrize("feedback", ["implicit", "explicit"])
def test_one_task_and_many_come_to_the_same_bits(tmp_path, feedback):
    """With a validation, whose epochs must be the same too."""
    world = tastes(900, 400, 12_000)
    found, told = [], []
    for name, tasks in (("one", 0), ("three", 3), ("five", 5)):
        job = job_of(tmp_path, name, world, feedback=feedback, patience=2, lambda_=0.05)
        numbers = itertools.count()
        if tasks:

            def workers(out, job=job, tasks=tasks, numbers=numbers):
                return MappedWorkers(job, out, twice_and_backwards, tasks=tasks, name=f"t{next(numbers)}")

            outcome = train_items(job, workers, threads=1, after_epoch=lambda *_: None)
            found.append(np.array(outcome.items))
        else:
            outcome = train_alone(Alone(job, threads=2), job.work / "items.npy")
            found.append(np.load(job.work / "items.npy"))
        told.append((outcome.epochs, outcome.best, outcome.told))
    assert len(told[0][0]) >= 2
    assert told[0][2]["users"] >= 80
    assert found[0].any()
    for items, what in zip(found[1:], told[1:], strict=True):
        np.testing.assert_array_equal(items, found[0])
        assert what == told[0]


def test_files_that_are_of_no_use_any_more_go(tmp_path):
    job = job_of(tmp_path)
    workers = MappedWorkers(job, None, twice_and_backwards, tasks=2, name="t")
    train_items(job, lambda _: workers, threads=1, after_epoch=lambda *_: None)
    assert len(list(job.work.glob("t-factors-*"))) == 2


def test_a_task_that_is_run_again_goes_on_from_its_checkpoint(tmp_path):
    whole = job_of(tmp_path, "whole", patience=3)
    train_alone(Alone(whole, threads=1), whole.work / "items.npy")
    cut = job_of(tmp_path, "cut", patience=3)
    ask_to_end(cut.work)
    with pytest.raises(Cancelled):
        train_alone(Alone(cut, threads=1, every_s=0.0), cut.work / "items.npy")
    (cut.work / "training.end").unlink()
    first = progress_of(cut.work)
    short = Job(cut.into, cut.work, cut.users, cut.items, msgspec.structs.replace(cut.recipe, iterations=3))
    train_alone(Alone(short, threads=1, every_s=0.0), cut.work / "early.npy")
    outcome = train_alone(Alone(cut, threads=2, every_s=0.0), cut.work / "items.npy")
    assert first is not None
    assert first.epoch.number == 1
    assert len(outcome.epochs) >= 4
    np.testing.assert_array_equal(np.load(cut.work / "items.npy"), np.load(whole.work / "items.npy"))
    assert len(list(cut.work.glob("checkpoint-*.npy"))) <= 6


def test_held_out_users_are_unknown_to_the_items_until_the_last_sweep(tmp_path):
    """Whatever else they did, the epochs are the same but for the rounding of blocks; what is published is not."""
    world = tastes(900, 400, 12_000)
    first = job_of(tmp_path, "a", world, patience=9)
    held = validation_of(first)
    assert held is not None
    theirs = held.out[world.users]
    keys = world.users * 400 + np.where(theirs, (world.items * 7 + 13) % 400, world.items)
    order = np.unique(keys, return_index=True)[1]
    other = job_of(tmp_path, "b", Tastes(world.users[order], keys[order] % 400, world.shape), patience=9)
    again = validation_of(other)
    assert again is not None
    np.testing.assert_array_equal(again.out, held.out)
    ends = [train_alone(Alone(job, threads=1), job.work / "items.npy") for job in (first, other)]
    losses = [[epoch.loss for epoch in end.epochs] for end in ends]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    scores = [[epoch.score for epoch in end.epochs] for end in ends]
    assert max(abs(one - two) for one, two in zip(*scores, strict=True)) > 0.01
    published = [np.load(job.work / "items.npy") for job in (first, other)]
    assert np.abs(published[0] @ published[0].T - published[1] @ published[1].T).max() > 1e-3


def test_without_enough_users_nobody_is_held_out(tmp_path):
    assert validation_of(job_of(tmp_path, world=tastes(300, 100, 3000), patience=3)) is None
    assert validation_of(job_of(tmp_path, "off", patience=0)) is None


def publish(job: Job) -> None:
    """Finish a generation as publishing does, in memory."""
    train_alone(Alone(job, threads=1), job.work / "items.npy")
    items = np.load(job.work / "items.npy")
    known = map_histories(job.into, "users")
    prior = Prior(gram(items), len(items), of="items")
    np.save(job.into / "items.npy", items)
    users = fold_in_many(known.indptr, known.indices, known.strengths, items, prior, job.recipe.objective)
    np.save(job.into / "users.npy", users)


def test_a_warm_start_has_known_ids_vectors_and_folds_new_items_in(tmp_path):
    world = tastes(900, 400, 12_000)
    old = world.some((world.items % 10 != 0) & (world.users % 7 != 0))
    parent = job_of(tmp_path, "old", old)
    publish(parent)
    job = job_of(tmp_path, "new", world, parent.into, warm_start=True)
    found = begin(job, threads=1)
    assert found.warm
    theirs, ours = IdTable.open(parent.into, "items"), IdTable.open(job.into, "items")
    their_items, their_users = (np.load(parent.into / f"{side}.npy") for side in ("items", "users"))
    rows = theirs.find_many(ours.ids(range(job.items)))
    np.testing.assert_array_equal(found.items[rows >= 0], their_items[rows[rows >= 0]])
    users = IdTable.open(parent.into, "users").find_many(IdTable.open(job.into, "users").ids(range(job.users)))
    np.testing.assert_array_equal(found.users[users >= 0], their_users[users[users >= 0]])
    assert not found.users[users < 0].any()
    new = np.flatnonzero(rows < 0)
    assert len(new) > 20
    histories = map_histories(job.into, "items")
    prior = Prior(gram(found.users), job.users, of="users")
    for row in new[:5].tolist():
        indices, strengths = histories.row(row)
        alone = fold_in_many(np.array([0, len(indices)]), indices, strengths, found.users, prior, job.recipe.objective)
        np.testing.assert_allclose(found.items[row], alone[0], rtol=1e-5, atol=1e-7)


def test_without_a_parent_that_fits_the_start_is_cold(tmp_path):
    parent = job_of(tmp_path, "old", features=6)
    publish(parent)
    for job in (
        job_of(tmp_path, "other length", parent=parent.into, features=8),
        job_of(tmp_path, "nothing there", parent=tmp_path / "nowhere"),
        job_of(tmp_path, "no parent"),
    ):
        found = begin(job, threads=1)
        assert not found.warm
        assert found.items.any()
        assert not found.users.any()


@pytest.mark.parametrize(
    ("settings", "warm"),
    [
        ({}, True),
        ({"iterations": 3, "seed": 7, "patience": 2}, True),
        ({"lambda_": 0.5}, False),
        ({"alpha": 3.0}, False),
        ({"log_strength": True}, False),
    ],
    ids=["same", "none-of-the-objective", "lambda", "alpha", "log-strength"],
)
def test_a_generation_of_another_objective_is_no_beginning(tmp_path, settings, warm):
    world = tastes(200, 100, 2_000)
    parent = job_of(tmp_path, "old", world, iterations=1)
    publish(parent)
    (tmp_path / "any").mkdir()
    manifest = msgspec.structs.replace(
        write_small_generation(tmp_path / "any", "20260731T142530123-7f3a9c04"),
        objective=parent.recipe.fitted_to(np.full(9, 2.0)).objective,  # α follows from the strengths
        hyperparameters=parent.recipe.hyperparameters,
    )
    write_manifest(parent.into / MANIFEST, manifest)
    job = job_of(tmp_path, "new", world, parent.into, warm_start=True, **settings)
    assert begin(job, threads=1).warm is starts_warm(job) is warm


def test_a_warm_start_holds_nobody_out_and_sweeps_a_third_as_often(tmp_path):
    """By those whom its vectors know the first sweep would be the best."""
    world = tastes(900, 400, 12_000)
    parent = job_of(tmp_path, "old", world, patience=3, iterations=4)
    publish(parent)
    for how, sweeps in (({"patience": 3}, 3), ({"patience": 0}, 7)):
        name = f"warm {sweeps}"
        job = job_of(tmp_path, name, world, parent.into, warm_start=True, iterations=7, **how)
        outcome = train_alone(Alone(job, threads=1), job.work / "items.npy")
        assert outcome.warm
        assert outcome.told is None
        assert len(outcome.epochs) == outcome.best.number == sweeps
        assert all(epoch.score is None for epoch in outcome.epochs)


def test_rows_are_matched_by_id(tmp_path):
    world = tastes(100, 60, 900)
    for name, kept in (("a", world.items % 2 == 0), ("b", world.items % 3 == 0)):
        prepared(tmp_path / name, world.some(kept))
    here, there = known_rows(tmp_path / "a", tmp_path / "b", "items")
    ours, theirs = (IdTable.open(tmp_path / name, "items") for name in ("a", "b"))
    assert ours.ids(here) == theirs.ids(there)
    assert set(ours.ids(here)) == set(ours.ids(range(len(ours)))) & set(theirs.ids(range(len(theirs))))


def test_a_warm_start_needs_a_third_of_the_epochs(tmp_path):
    """After 5 % new pairs, new users and items among them: as good as a cold start that had three times as many."""
    world = tastes(1500, 600, 40_000, seed=3, groups=40)
    by_users = Csr.from_pairs(world.users, world.items, np.ones(len(world.users)), world.shape[0])
    held = hold_out(
        np.arange(len(by_users)), by_users.indptr, by_users.indices, by_users.strengths, np.random.default_rng(0)
    )
    users = np.repeat(held.users, np.diff(held.indptr))
    known = Tastes(users, held.indices.astype(np.int64), world.shape)
    before = known.some((np.random.default_rng(1).random(len(users)) < 0.96) & (known.items % 100 != 7))
    assert 0.93 < len(before.users) / len(users) < 0.97
    how = {"features": 16, "unobserved_weight": 1.0, "lambda_": 0.3, "nu": 0.5}
    parent = job_of(tmp_path, "parent", before, iterations=9, **how)
    publish(parent)
    scores = {}
    for name, epochs, of in (("cold", 9, None), ("short", 3, None), ("warm", 3, parent.into)):
        job = job_of(tmp_path, name, known, of, iterations=epochs, warm_start=of is not None, **how)
        train_alone(Alone(job, threads=1), job.work / "items.npy")
        items = np.zeros((world.shape[1], 16), np.float32)
        items[np.unique(known.items)] = np.load(job.work / "items.npy")
        scores[name] = ndcg_at_10(held, items, gram(items), job.recipe.objective)
    assert scores["warm"] >= scores["cold"] - 0.001, scores
    assert scores["short"] < scores["cold"] - 0.02, "the world is too easy to tell"
