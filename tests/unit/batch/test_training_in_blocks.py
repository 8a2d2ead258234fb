"""Training in blocks: whatever a task's memory holds, and wherever files lie, the bits are those of one task."""

import itertools
import pickle
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from batch_layer.task_files.folder_exchange import FolderExchange
from batch_layer.task_files.store_exchange import StoreExchange
from batch_layer.training.alone import Alone, train_alone
from batch_layer.training.blocks import BlockWorkers, Cuts, Factors, Sources, cut_sides, least_task_bytes
from batch_layer.training.blocks.gathering import gather, runs
from batch_layer.training.blocks.portions import (
    read_histories,
    read_portion,
    weighed_portion,
    write_portion,
)
from batch_layer.training.blocks.solving import solve_in_blocks
from batch_layer.training.blocks.workers import handed_in
from batch_layer.training.item_training import train_items
from batch_layer.training.job import Job
from batch_layer.training.warm_start import begin
from oryx_py.adapters.places import Reach
from oryx_py.model.files import create_array, open_array, write_array
from oryx_py.model.generations.csr import Csr
from oryx_py.model.generations.history_files import history_files, map_histories
from oryx_py.numerics.als.matrix import Observed
from oryx_py.numerics.als.phases import Block, blocks
from oryx_py.numerics.als.portions import Group, fixed_bytes, groups_of, largest_row, portion_bytes
from oryx_py.numerics.als.sizing import PROCESS_BYTES
from oryx_py.numerics.fold_in.batched import fold_in_many
from oryx_py.numerics.fold_in.dense import Prior
from oryx_py.numerics.gram import gram
from tests.support.training import prepared, recipe, tastes


@pytest.fixture(autouse=True)
def _one_thread():
    with threadpool_limits(limits=1, user_api="blas"):
        yield


def job_of(folder: Path, name: str, world, **model) -> Job:
    sizes = prepared(folder / name, world)
    (folder / f"{name}.work").mkdir()
    return Job(folder / name, folder / f"{name}.work", sizes.users, sizes.items, recipe(**model))


def sources(job: Job, kind: str) -> Sources:
    """Where tasks find things: folders, or a store that has a copy of the histories."""
    if kind == "folder":
        return Sources(FolderExchange(job.into), FolderExchange(job.work / "blocks"))
    place = StoreExchange(f"memory://{uuid4().hex}/work", Reach())
    for side in ("users", "items"):
        for name in history_files(side):
            place.upload(job.into / name, f"histories/{name}")
    return Sources(place.below("histories"), place.below("blocks"))


def cramped(job: Job, tasks: int, over: int) -> Cuts:
    """Cuts for tasks that have no more than so many bytes beyond the least."""
    return cut_sides(job, tasks=tasks, task_bytes=least_task_bytes(job) + over)


def twice_and_backwards(work, given):
    """Run every task twice, the last first, and each from what travels: as a cluster may that loses some."""
    found = {}
    for number in [*reversed(range(len(given))), *range(len(given))]:
        found[number] = pickle.loads(pickle.dumps(work))(given[number])
    return [found[number] for number in range(len(given))]


@pytest.mark.parametrize("kind", ["folder", "store"])
@pytest.mark.parametrize(
    "model",
    [{"feedback": "implicit"}, {"feedback": "explicit"}, {"feedback": "explicit", "biases": True}],
    ids=["implicit", "explicit", "biases"],
)
def test_blocks_and_one_task_come_to_the_same_bits(tmp_path, kind, model):
    """With a validation and the last sweep, users at the end, and memory for some rows at a time alone."""
    world, how = tastes(1500, 600, 60_000), {"iterations": 3, "patience": 2, "lambda_": 0.05, **model}
    whole = job_of(tmp_path, "whole", world, **how)
    outcome = train_alone(Alone(whole, threads=2), whole.work / "items.npy")
    expected = np.load(whole.work / "items.npy")
    job = job_of(tmp_path, "blocks", world, **how)
    at, cuts, numbers = sources(job, kind), cramped(job, 2, 60_000), itertools.count()
    assert max(len(group.portions) for side in cuts for group in side) > 3

    def workers(out):
        return BlockWorkers(job, out, twice_and_backwards, at=at, cuts=cuts, name=f"t{next(numbers)}")

    found = train_items(job, workers, threads=1, after_epoch=lambda *_: None)
    np.testing.assert_array_equal(found.items, expected)
    assert expected.any()
    assert (found.epochs, found.best, found.told) == (outcome.epochs, outcome.best, outcome.told)
    assert len(found.epochs) >= 2
    write_array(job.into / "items.npy", expected)
    write_array(job.into / "items.gram.npy", gram(expected))
    solve_in_blocks(job, twice_and_backwards, at=at, cuts=cuts)
    known, prior = map_histories(job.into, "users"), Prior(gram(expected), job.items, of="items")
    users = fold_in_many(known.indptr, known.indices, known.strengths, expected, prior, job.recipe.objective)
    np.testing.assert_array_equal(np.load(job.into / "users.npy"), users)
    np.testing.assert_allclose(np.load(job.into / "users.gram.npy"), gram(users), rtol=1e-12, atol=1e-9)


def test_how_many_tasks_there_are_and_what_they_hold_changes_no_bit(tmp_path):
    world, found = tastes(1500, 600, 60_000), []
    for number, (tasks, over) in enumerate([(1, 1 << 30), (3, 30_000), (5, 90_000)]):
        job = job_of(tmp_path, str(number), world, iterations=2)
        at, cuts = sources(job, "folder"), cramped(job, tasks, over)
        workers = BlockWorkers(job, None, twice_and_backwards, at=at, cuts=cuts, name="t")
        found.append(train_items(job, lambda _, workers=workers: workers, threads=1, after_epoch=lambda *_: None))
    for other in found[1:]:
        np.testing.assert_array_equal(other.items, found[0].items)
        assert other.epochs == found[0].epochs


def test_what_is_of_no_use_any_more_goes(tmp_path):
    job = job_of(tmp_path, "one", tastes(1500, 600, 60_000))
    workers = BlockWorkers(
        job, None, twice_and_backwards, at=sources(job, "folder"), cuts=cramped(job, 2, 60_000), name="t"
    )
    train_items(job, lambda _: workers, threads=1, after_epoch=lambda *_: None)
    assert sorted(path.name[:9] for path in (job.work / "blocks").iterdir()) == ["t-factors"] * 2
    assert len(list(job.work.glob("t-read-*"))) == 1


@given(
    sizes=st.lists(st.integers(0, 60), min_size=1, max_size=80),
    features=st.sampled_from([1, 8, 64]),
    count=st.integers(1, 9),
    room=st.integers(0, 40_000),
)
def test_portions_cover_all_rows_within_the_room(sizes, features, count, room):
    indptr, others = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64), 50
    edges = np.unique(np.linspace(0, len(sizes), 7).astype(np.int64)).tolist()
    given_blocks = [Block(first, last) for first, last in itertools.pairwise(edges)]
    groups = groups_of(given_blocks, indptr, others, features, count=count, room=room)
    assert [block for group in groups for block in group.blocks] == given_blocks
    assert [group.number for group in groups] == list(range(min(count, len(given_blocks))))
    assert largest_row(indptr) == max(sizes)
    for group in groups:
        rows = [row for first, last in group.portions for row in range(first, last)]
        assert rows == list(range(group.first, group.last))
        for first, last in group.portions:
            takes = portion_bytes(last - first, int(indptr[last] - indptr[first]), others, features)
            assert last - first == 1 or takes <= room
            if last < group.last:  # one row more would not have fitted
                assert portion_bytes(last + 1 - first, int(indptr[last + 1] - indptr[first]), others, features) > room


@given(
    rows=st.lists(st.integers(0, 500), unique=True).map(sorted),
    gap=st.integers(0, 20),
    most=st.integers(1, 60),
)
def test_runs_have_all_rows_and_no_wider_gap(rows, gap, most):
    found = list(runs(np.array(rows, np.int64), gap, most))
    assert [row for start, stop in found for row in rows[start:stop]] == rows
    for start, stop in found:
        assert rows[stop - 1] - rows[start] < most
        assert all(after - before <= gap + 1 for before, after in itertools.pairwise(rows[start:stop]))


@pytest.mark.parametrize("kind", ["folder", "store"])
def test_gathered_rows_are_those_wanted_wherever_they_lie(tmp_path, kind):
    rng, k = np.random.default_rng(0), 5
    factors = rng.standard_normal((5000, k)).astype(np.float32)
    factors[1000:2500] = 0
    edges = [0, 1000, 2500, 2500, 4999, 5000]
    groups = [
        Group(number, (Block(first, last),), ()) for number, (first, last) in enumerate(itertools.pairwise(edges))
    ]
    place = FolderExchange(tmp_path) if kind == "folder" else StoreExchange(f"memory://{uuid4().hex}/x", Reach())
    found = handed_in(Sources(place, place), groups, factors, "f")
    assert found == Factors("f", tuple(edges), k, frozenset({1, 2}))
    for share in (0.0, 0.001, 0.3, 1.0):
        wanted = np.flatnonzero(rng.random(5000) <= share).astype(np.int32)
        np.testing.assert_array_equal(gather(place, found, wanted), factors[wanted])


@pytest.mark.parametrize("side", ["users", "items"])
def test_a_portion_weighs_as_the_whole_side_does(tmp_path, side):
    """Of rows in the middle, with users left out; written and read."""
    world = tastes(300, 120, 4000)
    job = job_of(tmp_path, "one", world)
    others = job.items if side == "users" else job.users
    known, rows = map_histories(job.into, side), Block(20, 90)
    out = np.zeros(job.users, np.bool_)
    out[::7] = True
    whole = Observed.of(
        known.indptr,
        known.indices,
        known.strengths,
        others,
        job.recipe.objective,
        rows_out=out if side == "users" else None,
        others_out=out if side == "items" else None,
    )
    histories = read_histories(FolderExchange(job.into), side, rows)
    portion = weighed_portion(histories, side, rows, others, job.recipe.objective, np.flatnonzero(out))
    place = FolderExchange(tmp_path / "work")
    write_portion(place, "p", portion)
    again = read_portion(place, "p")
    first, last = 30, 85
    span = slice(int(known.indptr[first]), int(known.indptr[last]))
    found = again.rows(first, last)
    here = slice(int(found.indptr[0]), int(found.indptr[-1]))
    np.testing.assert_array_equal(again.wanted[found.indices[here]], known.indices[span])
    np.testing.assert_array_equal(found.weights[here], whole.weights[span])
    np.testing.assert_array_equal(found.targets[here], whole.targets[span])
    np.testing.assert_array_equal(found.ridges, whole.ridges[first:last])
    assert not found.weights[here].all()
    assert found.others == others


def test_factors_to_begin_with_may_be_mapped(tmp_path):
    parent = job_of(tmp_path, "parent", tastes(300, 120, 4000))
    rng = np.random.default_rng(3)
    for side, rows in (("users", parent.users), ("items", parent.items)):
        write_array(parent.into / f"{side}.npy", rng.standard_normal((rows, 8)).astype(np.float32))
    world = tastes(400, 150, 6000, seed=1)
    sizes = prepared(tmp_path / "new", world)
    job = Job(tmp_path / "new", tmp_path, sizes.users, sizes.items, recipe(warm_start=True), parent.into)

    def make(side):
        create_array(tmp_path / side, np.float32, (job.rows(side), 8))
        return open_array(tmp_path / side)

    for mapped, here in zip(begin(job, threads=1, make=make), begin(job, threads=1), strict=True):
        np.testing.assert_array_equal(mapped, here)


def test_the_least_that_a_task_takes_is_its_largest_row(tmp_path):
    """An item that everybody has: its users' vectors must be there at once."""
    users = np.concatenate([np.arange(2000), np.arange(2000)])
    items = np.concatenate([np.zeros(2000, np.int64), 1 + np.arange(2000) % 50])
    into = tmp_path / "one"
    into.mkdir()
    by_users = Csr.from_pairs(users, items, np.ones(4000), 2000)
    for side, histories in (("users", by_users), ("items", by_users.transposed(51))):
        for file, array in zip(
            history_files(side), (histories.indptr, histories.indices, histories.strengths), strict=True
        ):
            write_array(into / file, array)
    job = Job(into, tmp_path, 2000, 51, recipe())
    most = max(block.last - block.first for block in blocks(by_users.indptr, 8))
    of_users = PROCESS_BYTES + fixed_bytes(most, 8) + portion_bytes(1, 2, 51, 8)
    of_items = PROCESS_BYTES + fixed_bytes(51, 8) + portion_bytes(1, 2000, 2000, 8)
    assert least_task_bytes(job) == max(of_users, of_items)
    assert of_items > PROCESS_BYTES + 2000 * 8 * 4
