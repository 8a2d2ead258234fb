"""The plan: exact where files are laid out by us, and of the right order in what is measured."""

import dataclasses
from pathlib import Path
from typing import Literal

import pytest

from batch_layer.spark.fitting.choice import chosen
from batch_layer.spark.preparing import Prepared
from batch_layer.spark.session.task_slots import reserved
from oryx_py.errors import UserError
from oryx_py.planning.constants import MEASURED
from oryx_py.planning.plan import Step, plan
from oryx_py.planning.sizes import SPARE, Machines, ModelSize
from oryx_py.planning.tasks import tasks_at_once
from oryx_py.planning.training import least_task_bytes, train_seconds, way_of
from oryx_py.planning.verdict import obstacle, suited
from oryx_py.testing.generations import write_small_generation

GIB = 1 << 30
LARGE = ModelSize(users=10**7, items=2 * 10**6, interactions=10**9, pairs=10**9, features=128)
HERE = Machines(cores=2, memory=24 * GIB)


def changed(**changes: float) -> ModelSize:
    return dataclasses.replace(LARGE, **changes)


def steps(size: ModelSize, machines: Machines = HERE) -> dict[str, Step]:
    return {step.name: step for step in plan(size, machines)}


def test_an_artefact_has_the_bytes_that_are_planned(tmp_path: Path) -> None:
    manifest = write_small_generation(tmp_path, "20260731T142530123-7f3a9c04")
    counts = manifest.counts
    ids = sum(len((tmp_path / f"{side}.ids.bytes.npy").read_bytes()) - 128 for side in ("users", "items"))
    size = ModelSize(
        users=counts.users,
        items=counts.items,
        interactions=17,
        pairs=counts.pairs,
        features=3,
        id_bytes=ids / (counts.users + counts.items),
    )
    files = list(tmp_path.glob("*.npy"))
    header = 128
    # Offsets of IDs are one more than there are IDs, in both tables.
    assert sum(file.stat().st_size - header for file in files) == size.artefact_bytes + 2 * 8


@pytest.mark.parametrize("name", ["users", "items", "interactions", "pairs", "features", "epochs"])
def test_more_of_anything_never_takes_less(name: str) -> None:
    grown = {name: getattr(LARGE, name) * 2}
    if name == "pairs":
        grown["interactions"] = grown["pairs"]
    before, after = steps(LARGE), steps(changed(**grown))
    for step, less in before.items():
        more = after[step]
        for field in ("memory", "mapped", "disk", "seconds"):
            if getattr(less, field) is not None:
                assert getattr(more, field) >= getattr(less, field), (step, field)


def test_ten_times_the_interactions_take_ten_times_the_time_where_all_fits() -> None:
    roomy = Machines(cores=8, memory=1 << 45)
    small = ModelSize(users=30_000, items=41_000, interactions=810_000, pairs=810_000, features=64)
    large = ModelSize(users=300_000, items=410_000, interactions=8_100_000, pairs=8_100_000, features=64)
    for step, less in steps(small, roomy).items():
        if less.seconds:
            assert steps(large, roomy)[step].seconds == pytest.approx(10 * less.seconds)


def test_executors_share_the_work() -> None:
    alone, four = steps(LARGE)["train"], steps(LARGE, dataclasses.replace(HERE, count=4))["train"]
    assert alone.seconds is not None
    assert four.seconds is not None
    assert four.seconds < alone.seconds
    assert "4 executors" in four.what


def test_what_fits_is_not_refused() -> None:
    assert obstacle(changed(features=64), HERE) is None
    hundred_million = ModelSize(users=2 * 10**6, items=200_000, interactions=10**8, pairs=10**8, features=64)
    assert obstacle(hundred_million, HERE) is None


@pytest.mark.parametrize("wanted", ["auto", "one", "many", "blocks"])
@pytest.mark.parametrize("task_memory", [0, GIB])
@pytest.mark.parametrize("features", [32, 128, 512])
@pytest.mark.parametrize("memory", [8 * GIB, 24 * GIB, 64 * GIB, 128 * GIB])
def test_the_plan_says_what_the_batch_layer_does(
    features: int, memory: int, task_memory: int, wanted: Literal["auto", "one", "many", "blocks"]
) -> None:
    size = changed(features=features)
    machine = Machines(cores=4, memory=memory, training=wanted, task_memory=task_memory)
    prepared = Prepared(size.users, size.items, size.pairs)
    try:
        way = chosen(
            wanted,
            prepared,
            features,
            local=True,
            memory=4 * task_memory or machine.free,
            tasks=4,
            least_task=least_task_bytes(size),
        )
    except UserError:
        assert obstacle(size, machine) is not None
    else:
        assert obstacle(size, machine) is None
        assert way.replace("rounds", "in rounds").replace("blocks", "in blocks") in steps(size, machine)["train"].what


@pytest.mark.parametrize(("cores", "memory", "tasks"), [(64, 32, 32), (64, 64, 64), (16, 8, 5), (4, 4, 1), (2, 1, 1)])
def test_the_batch_layer_prepares_by_as_many_workers_as_the_plan_says(cores: int, memory: int, tasks: int) -> None:
    machine = Machines(cores=cores, memory=memory * GIB)
    found = reserved(f"local[{cores}]", round(machine.memory * SPARE))
    assert cores // int(found["spark.task.cpus"]) == tasks_at_once(machine) == tasks
    memory_of = steps(LARGE, machine)["prepare"].memory
    assert memory_of is not None
    assert (memory_of <= machine.memory * SPARE) == (memory >= 4)


def test_no_step_takes_more_than_there_is_where_the_verdict_is_that_it_fits() -> None:
    """Preparing by a worker a core did: 64 of them on 32 GiB."""
    size = ModelSize(users=10**6, items=10**5, interactions=5 * 10**7, pairs=5 * 10**7, features=64)
    for cores, memory in ((64, 32), (64, 16), (2, 8), (2, 4), (2, 2)):
        for count in (1, 4):
            machine = Machines(cores=cores, memory=memory * GIB, count=count)
            most = max(step.memory or 0 for step in plan(size, machine))
            assert (obstacle(size, machine) is None) == (most <= machine.memory * SPARE), (machine, most)


def test_executors_whose_tasks_do_not_fit_are_refused_with_what_to_do() -> None:
    size = ModelSize(users=10**5, items=10**5, interactions=10**6, pairs=10**6, features=8)
    line = obstacle(size, Machines(cores=64, memory=32 * GIB, count=2))
    assert line is not None
    assert "64 × 668 MiB of tasks" in line
    assert "spark.executor.cores" in line


def test_an_idempotency_key_is_written_with_each_row() -> None:
    plain, keyed = steps(LARGE)["history"].disk, steps(changed(keyed=True))["history"].disk
    assert plain is not None
    assert keyed == plain + round(10**9 * MEASURED.history_key_bytes)


@pytest.mark.parametrize("count", [1, 4])
def test_what_cannot_fit_is_refused_with_its_arithmetic_in_one_line(count: int) -> None:
    line = obstacle(changed(features=1024), Machines(cores=2, memory=24 * GIB, count=count))
    assert line is not None
    assert "\n" not in line
    assert "10M rows × 1024 features × 4 bytes = 38.1 GiB" in line
    assert "training in blocks needs" in line
    assert "24.0 GiB" in line


def test_where_no_side_fits_it_is_blocks_and_those_are_slower_than_memory_for_all() -> None:
    size = changed(users=10**8, pairs=10**8)
    many = Machines(cores=2, memory=64 * GIB, count=8)
    few = dataclasses.replace(many, memory=32 * GIB)
    assert (way_of(size, many), way_of(size, few)) == ("in rounds", "in blocks")
    assert obstacle(size, few) is None
    assert train_seconds(size, few) > train_seconds(size, dataclasses.replace(many, memory=1 << 42))
    assert "in blocks" in steps(size, few)["train"].what


def test_a_full_disk_is_refused_before_the_work_begins() -> None:
    line = obstacle(LARGE, dataclasses.replace(HERE, disk=20 * GIB))
    assert line is not None
    assert "20.0 GiB are free" in line
    assert obstacle(LARGE, dataclasses.replace(HERE, disk=200 * GIB)) is None


def test_what_is_suited_fits_and_half_of_it_has_not_room_for_all() -> None:
    alone, cluster = suited(LARGE)
    assert alone is not None
    assert obstacle(LARGE, alone) is None
    assert "alone" in steps(LARGE, alone)["train"].what
    assert "in rounds" in steps(LARGE, dataclasses.replace(alone, memory=alone.memory // 2))["train"].what
    assert cluster is not None
    assert cluster.memory < alone.memory
    assert obstacle(LARGE, cluster) is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"users": 0}, "at least 1 of users"),
        ({"users": 10, "items": 10}, "make 100 pairs"),
        ({"interactions": 5}, "fold to at most as many"),
    ],
)
def test_a_model_that_cannot_be_is_refused(change: dict[str, int], says: str) -> None:
    with pytest.raises(UserError, match=says):
        changed(**change)
