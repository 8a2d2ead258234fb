"""The last part of a run: what it merges, what holds it back, what it leaves, and that nothing depends on it."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import structlog

from batch_layer.engine import Cancelled
from batch_layer.history.base_generation import choose
from batch_layer.housekeeping.file_merging import FileMerger
from batch_layer.housekeeping.merge_planning import Sizes
from batch_layer.housekeeping.row_retention import DAY_MS, Limits
from batch_layer.run.steps import Outcome
from oryx_py.adapters.clock import SystemClock
from oryx_py.errors import CorruptGeneration, JobFailed, StoreUnavailable, UnsupportedFormat
from oryx_py.events import FoldSettings
from tests.support.batch import BatchWorld, SlowEngine, local_path, pairs_of, slow_fold
from tests.support.histories import HistoryWorld
from tests.support.ticking import Ticking

FOLD = FoldSettings("implicit", dedupe_window_s=0.0)


@pytest.fixture
def world(tmp_path: Path) -> HistoryWorld:
    """Two days of four commits each, of which generations have been made, and the first of a third."""
    world = HistoryWorld(tmp_path)
    for number in range(9):
        take_in(world, number)
    return world


def take_in(world: HistoryWorld, number: int) -> None:
    rng, passed = random.Random(number), DAY_MS if number and number % 4 == 0 else 1
    told = [((rng.choice("abc"), f"i{number}-{n}", 1.0), None, 0) for n in range(3)]
    world.add("input", [(*told[0][:2], passed), *told])
    world.prune(FOLD)


def merger(world: HistoryWorld, **changed: Any) -> FileMerger:
    of: dict[str, Any] = {
        "log": world.log,
        "folder": world.files,
        "engine": world.engine(),
        "store": world.store,
        "clock": Ticking(),
        "rng": np.random.default_rng(),
    }
    return FileMerger(**{**of, **changed})


def kinds(world: HistoryWorld) -> list[str]:
    return [commit.kind for commit in world.log.commits()]


def test_the_files_of_days_that_are_over_become_one_a_day(world: HistoryWorld) -> None:
    before, rows = world.log.read(), world.rows()
    with structlog.testing.capture_logs() as logged:
        world.merge()
    history = world.log.read()
    assert [(file.since, file.origin, file.rows) for file in history.files] == [(0, 9, 4), (1, 4, 16), (5, 8, 16)]
    assert kinds(world) == ["input"] * 9 + ["merge"]
    assert world.rows() == rows
    assert history.replaced == before.files[:8]
    assert [(event["event"], event["files"], event["into"], event["rows"]) for event in logged] == [
        ("history_merged", 8, 2, 32)
    ]


def test_where_nothing_is_due_nobody_is_asked(world: HistoryWorld) -> None:
    world.merge()
    history = world.log.read()
    nobody: Any = None
    merger(world, log=nobody, folder=nobody, engine=nobody, store=nobody)(history)
    assert world.log.read() == history


def test_rows_that_came_after_a_generation_stay_apart_from_those_before_it(tmp_path: Path) -> None:
    """Else they would be neither new nor old to who folds on it. The newest generation alone would not hold them."""
    world = HistoryWorld(tmp_path, kept=5)
    for number in range(9):
        take_in(world, number)
    world.merge()
    assert [(file.since, file.origin) for file in world.log.read().files if file.since] == [(1, 4)]
    assert choose(world.manifests.values(), world.log.read(), FOLD) == world.last
    for number in range(9, 12):
        take_in(world, number)
    world.merge()
    assert [(file.since, file.origin) for file in world.log.read().files if file.since] == [(1, 4), (5, 8)]


def test_a_generation_whose_commit_lies_within_a_file_is_not_folded_on(world: HistoryWorld) -> None:
    """Whoever merged it: its rows would count twice."""
    manifest = world.last
    assert manifest is not None
    covered = dict.fromkeys(manifest.input, (0, 0))
    older = [msgspec.structs.replace(manifest, history=number, input=covered) for number in range(5, 9)]
    assert [choose([each], world.log.read(), FOLD) for each in older] == older
    world.merge()
    assert [choose([each], world.log.read(), FOLD) for each in older] == [None, None, None, older[-1]]


@pytest.mark.parametrize("trouble", [CorruptGeneration("x"), UnsupportedFormat("x")], ids=["corrupt", "newer"])
def test_a_generation_that_nobody_can_fold_on_holds_nothing(world: HistoryWorld, trouble: Exception) -> None:
    def manifest(name: str) -> Any:
        if name == "old":
            raise trouble
        return world.manifests[name]

    store: Any = world.store
    store.manifest, store.generations = manifest, lambda: ["old", *world.manifests]
    merger(world, store=store)(world.log.read())
    assert kinds(world)[-1] == "merge"


class Failing(SlowEngine):
    """An engine that cannot."""

    trouble: Exception = JobFailed("no room left")

    def merge(self, *arguments: Any) -> None:
        super().merge(*arguments)
        raise self.trouble


def test_what_fails_is_put_off_for_an_hour_and_leaves_nothing(world: HistoryWorld) -> None:
    history, there, clock = world.log.read(), world.on_disk(), Ticking()
    clock.now = 5.0
    engine = world.engine(kind=Failing)
    merging = merger(world, engine=engine, clock=clock)
    with structlog.testing.capture_logs() as logged:
        merging(history)
        merging(history)
    assert [event["reason"] for event in logged if event["log_level"] == "warning"] == ["no room left"]
    assert engine.calls == ["merge"]
    assert (world.log.read(), world.on_disk()) == (history, there)
    clock.now += 3600.0
    merging(history)
    assert engine.calls == ["merge", "merge"]


def test_where_the_store_does_not_answer_nothing_is_merged(world: HistoryWorld) -> None:
    """A generation that is there might be folded on."""

    def manifest(_: str) -> Any:
        raise StoreUnavailable("away")

    store: Any = world.store
    store.manifest = manifest
    merger(world, store=store)(world.log.read())
    assert "merge" not in kinds(world)


def test_who_is_asked_to_stop_stops(world: HistoryWorld) -> None:
    engine = world.engine(kind=Failing)
    assert isinstance(engine, Failing)
    engine.trouble = Cancelled()
    there = world.on_disk()
    with pytest.raises(Cancelled):
        merger(world, engine=engine)(world.log.read())
    assert world.on_disk() == there


def test_a_long_history_is_merged_over_many_runs_the_oldest_first(world: HistoryWorld) -> None:
    for number in range(1, 3):
        world.merge(sizes=Sizes(files=4))
        assert [file.origin for file in world.log.read().files if file.since] == [4, 8][:number]


def take_out(world: HistoryWorld) -> None:
    world.add("input", [(("a", "", None), None, 1), (("b", "", None), None, 1), (("c", "", None), None, 1)])
    world.prune(FOLD)


def let_go(world: HistoryWorld) -> None:
    world.prune(FOLD, Limits(max_rows=5))


@pytest.mark.parametrize("what", [take_out, let_go], ids=["forgotten", "dropped"])
def test_what_a_merge_left_is_there_for_its_readers_until_rows_have_to_go(
    world: HistoryWorld, what: Callable[[HistoryWorld], None]
) -> None:
    world.merge()
    left = {file.path for file in world.log.read().replaced}
    assert left <= world.on_disk()
    world.recover()
    take_in(world, 9)
    assert left <= world.on_disk()
    what(world)
    history = world.log.read()
    assert history.replaced == ()
    assert not left & world.on_disk()
    assert world.on_disk() >= {file.path for file in history.files}


def test_merged_files_are_rewritten_without_what_was_forgotten_and_still_say_whose_rows_they_have(
    world: HistoryWorld,
) -> None:
    world.merge()
    spans = {(file.since, file.origin) for file in world.log.read().files if file.since}
    world.add("input", [(("a", "", None), None, 1)])
    world.prune(FOLD)
    assert kinds(world)[-1] == "rewrite"
    history = world.log.read()
    assert {(file.since, file.origin) for file in history.files if file.since} == spans == {(1, 4), (5, 8)}
    assert {row["user"] for row in world.rows() if row["item"]} == {"b", "c"}


class ByDays(SlowEngine):
    """An engine to whom all that comes in arrived on one day."""

    day = 0

    def write_rows(self, *arguments: Any) -> Any:
        written = super().write_rows(*arguments)
        for path in local_path(arguments[2]).iterdir():
            rows = pq.read_table(path)
            arrived = pa.array([self.day * DAY_MS] * len(rows), pa.int64())
            pq.write_table(rows.set_column(2, rows.schema.field(2), arrived), path)
        return written


def test_a_run_merges_at_its_end_and_the_next_ones_go_on(tmp_path: Path) -> None:
    world = BatchWorld(tmp_path)
    engine = world.engine = ByDays(world.log, "in", world.recipe)
    world.merge = FileMerger(
        log=world.history,
        folder=world.history_folder,
        engine=engine,
        store=world.store,
        clock=SystemClock(),
        rng=np.random.default_rng(),
    )
    for number in range(1, 8):
        engine.day = number // 3
        world.send(*(f"u{each},i{number},1" for each in range(4)))
        assert world.run() is Outcome.PUBLISHED
        assert pairs_of(world.newest()) == slow_fold(world.rows(), world.recipe.fold)
        for name in world.store.generations()[:-1]:
            world.store.delete(name)
    merged = [(file.since, file.origin) for file in world.history.read().files if file.since]
    assert merged == [(1, 2), (3, 6)]
    assert world.run() is Outcome.NOTHING_NEW
    assert engine.calls.count("merge") == 2
