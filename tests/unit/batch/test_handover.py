"""The lock changes hands in the middle of a run or an import: each row is there once, or its writer is told."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from batch_layer.engine import Ranges, Written
from batch_layer.history.import_offsets import IMPORT_SCHEMA
from batch_layer.history.importing import Target, import_rows
from batch_layer.history.orphan_files import sweep_rows
from batch_layer.locking.file_lease import FileLease
from batch_layer.locking.run_lock import Holder
from batch_layer.publishing.recovery import sweep_halves
from batch_layer.run.steps import Outcome, Step
from oryx_py.adapters.file_systems.local_files import LocalFiles
from oryx_py.adapters.generation_stores.cache import GenerationCache
from oryx_py.adapters.generation_stores.remote_store import RemoteStore
from oryx_py.errors import BrokerUnavailable, CommitConflict, CorruptGeneration, StoreUnavailable, Transient, UserError
from oryx_py.model.history.commits import ImportedSource
from tests.support.batch import BatchWorld, Crash, SlowEngine, pairs_of, slow_fold
from tests.support.ticking import Ticking

FIRST = ["ann,tea,2", "ann,tea,1", "bob,jam,1", "bob,tea,4", "cid,jam,1"]
LATER = ["ann,egg,1", "eve,jam,2", ",tea,"]
OLD = [("old", f"i{n}") for n in range(10)]
NUMBERS = count()
IMPORT = ImportedSource("old.csv", "digest")


@pytest.fixture
def world(tmp_path: Path) -> BatchWorld:
    world = BatchWorld(tmp_path)
    world.send(*FIRST)
    return world


class Interrupted(SlowEngine):
    """An engine in whose process something happens once, before or after the rows are in their files."""

    before: Callable[[], object] = staticmethod(lambda: None)
    after: Callable[[], object] = staticmethod(lambda: None)

    def write_rows(self, ranges: Ranges, partitions: int, into: str) -> Written:
        before, after = self.before, self.after
        self.before = self.after = lambda: None
        before()
        written = super().write_rows(ranges, partitions, into)
        after()
        return written


def interrupted(world: BatchWorld) -> Interrupted:
    world.engine = engine = Interrupted(world.log, "in", world.recipe)
    return engine


def taken_over(world: BatchWorld, until: Step = Step.RECOVERED) -> None:
    """Another process takes over, and comes no further than this: it recovers, and dies."""
    with suppress(Crash):
        world.run(crash_after=until)


def data(world: BatchWorld) -> Path:
    return world.folder / "history" / "data"


def on_host(world: BatchWorld, name: str) -> RemoteStore:
    """The generations in a place that several hosts share, as one of them has them."""
    cache = GenerationCache(world.folder / name / "cache", 1 << 30)
    return RemoteStore(LocalFiles(world.folder / "remote"), world.folder / name / "staged", cache)


def empty(world: BatchWorld) -> None:
    """Remove all rows' files that there are, as nobody but an operator does."""
    for path in data(world).rglob("*.parquet"):
        path.unlink()


def assert_settled(world: BatchWorld) -> None:
    """Every record and every imported row is in the history once, the live generation has them, and nothing is left."""
    rows = [(row["partition"], row["offset"]) for row in world.rows()]
    told = {(p, record.offset) for p in range(world.PARTITIONS) for record in world.log.partition("in", p).records}
    assert len(rows) == len(set(rows))
    assert {row for row in rows if row[1] >= 0} == told
    history = world.history.read()
    assert history.rows == len(rows)
    assert sum(offset < 0 for _, offset in rows) == sum(end + (1 << 40) for end in history.imported.values())
    assert pairs_of(world.newest()) == slow_fold(world.rows(), world.recipe.fold)
    committed = {Path(file.path).parts[1] for file in history.files}
    assert {path.name for path in data(world).iterdir()} == committed
    assert world.store.incomplete() == []


def test_a_run_whose_files_another_sweeps_commits_no_offsets_without_them(world: BatchWorld) -> None:
    """Whoever takes over sees nobody's files, and dies before it has committed rows."""
    interrupted(world).after = lambda: taken_over(world)
    with pytest.raises(Transient, match="run it again"):
        world.run()
    assert dict(world.history.read().offsets) == {}
    assert world.run() is Outcome.PUBLISHED
    assert_settled(world)


def test_a_run_that_has_written_nothing_yet_loses_nothing(world: BatchWorld) -> None:
    interrupted(world).before = lambda: taken_over(world)
    assert world.run() is Outcome.PUBLISHED
    assert_settled(world)


def test_a_run_that_slept_before_its_commit_names_no_file_that_is_gone(
    world: BatchWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle = world.history_folder.settle

    def then_sleep(*arguments: Any) -> Any:
        found = settle(*arguments)
        monkeypatch.undo()
        taken_over(world)
        return found

    monkeypatch.setattr(world.history_folder, "settle", then_sleep)
    with pytest.raises(CommitConflict, match="run it again"):
        world.run()
    assert world.history.read().files == ()
    assert world.run() is Outcome.PUBLISHED
    assert_settled(world)


@pytest.mark.parametrize("step", list(Step))
@pytest.mark.parametrize("more", [[], LATER], ids=["nothing-new", "more-input"])
def test_every_row_counts_once_wherever_the_lock_changes_hands(tmp_path: Path, step: Step, more: list[str]) -> None:
    """One sleeps after a step, the next dies at the history, the first wakes up, a third cleans up."""
    for until in (Step.RECOVERED, Step.ROWS_WRITTEN, Step.HISTORY_COMMITTED):
        world = BatchWorld(tmp_path / until.name)
        world.send(*FIRST)
        world.run()
        world.send(*LATER)
        slept: list[Step] = []

        def sleep(now: Step, until: Step = until, world: BatchWorld = world, slept: list[Step] = slept) -> None:
            if now is step and not slept:
                slept.append(now)
                world.send(*more)
                taken_over(world, until)

        with suppress(Transient, CorruptGeneration):
            world.run(meanwhile=sleep)
        assert slept == [step]
        world.run()
        assert_settled(world)


def test_files_that_went_are_never_committed_as_if_they_were_there(world: BatchWorld) -> None:
    """Whoever removed them: all of them, or one of several."""
    interrupted(world).after = lambda: empty(world)
    with pytest.raises(StoreUnavailable, match=r"has 0 rows where 5 were written, .*run it again"):
        world.run()
    assert world.history.read().number == 0
    world.run()
    assert_settled(world)


def test_what_is_swept_can_never_be_committed_any_more(world: BatchWorld) -> None:
    """The sweeper slept as well: what it found before is what it removes, and by then nobody commits it."""
    stale = world.history.read()

    def sweep() -> None:
        sweep_rows(world.history, world.history_folder, stale, 0)
        assert not list(data(world).iterdir())

    interrupted(world).after = sweep
    with pytest.raises(Transient, match="run it again"):
        world.run()
    assert world.history.read().number == 1
    (data(world) / "somebodys").mkdir()
    with pytest.raises(CommitConflict):  # the history has gone on
        sweep_rows(world.history, world.history_folder, stale, 0)
    assert [path.name for path in data(world).iterdir()] == ["somebodys"]
    world.run()
    assert_settled(world)


def test_where_nothing_was_left_nothing_is_committed(world: BatchWorld) -> None:
    world.run()
    world.send(*LATER)
    world.run()
    world.run()
    assert [len(commit.files) > 0 for commit in world.history.commits()] == [True, True]


def test_a_run_that_fails_by_itself_takes_its_files_along(world: BatchWorld) -> None:
    def fail() -> None:
        raise BrokerUnavailable("away")

    interrupted(world).after = fail
    with pytest.raises(BrokerUnavailable):
        world.run()
    assert not list(data(world).iterdir())
    world.run()
    assert [len(commit.files) > 0 for commit in world.history.commits()] == [True]


def imported(
    world: BatchWorld,
    meanwhile: Callable[[], object] = lambda: None,
    at: int = 5,
    lost: Callable[[], bool] = lambda: False,
) -> int:
    """Import `OLD`, three rows a file; something happens once so many rows were read. Returns how many came of it."""

    def batches() -> Iterator[pa.RecordBatch]:
        for n, (user, item) in enumerate(OLD):
            if n == at:
                meanwhile()
            row = {"user": user, "item": item, "strength": 1.0}
            yield pa.RecordBatch.from_pylist([row], schema=IMPORT_SCHEMA)
        if at == len(OLD):
            meanwhile()

    target = Target(
        log=world.history,
        folder=world.history_folder,
        name=f"import-{next(NUMBERS)}",
        partitions=world.PARTITIONS,
        starts=dict.fromkeys(range(world.PARTITIONS), 0),
        time_ms=5,
        lost=lost,
    )
    return import_rows(batches(), [IMPORT], target, file_rows=3).rows


@pytest.mark.parametrize("at", [0, 5, 10])
@pytest.mark.parametrize("until", [Step.RECOVERED, Step.ROWS_WRITTEN, Step.TIDIED], ids=lambda step: step.name)
def test_an_import_that_was_taken_for_dead_says_so_and_can_be_done_again(
    world: BatchWorld, at: int, until: Step
) -> None:
    """Stopped for longer than the lease, as by Ctrl-Z; half of its files are there by then."""
    if at == 0 and until is not Step.TIDIED:  # nobody has written or committed anything: it goes on unharmed
        assert imported(world, lambda: taken_over(world, until), at) == len(OLD)
    else:
        with pytest.raises(Transient, match="run it again"):
            imported(world, lambda: taken_over(world, until), at)
        assert not world.history.read().imported
        assert imported(world) == len(OLD)
    with pytest.raises(UserError, match="was imported in commit"):
        imported(world)
    world.run()
    assert_settled(world)


def test_an_import_writes_no_more_once_it_knows_that_it_was_taken_for_dead(world: BatchWorld) -> None:
    lost: list[int] = []
    with pytest.raises(CommitConflict, match=r"another process .* nothing was imported, run it again"):
        imported(world, lambda: lost.append(1), 4, lambda: bool(lost))
    assert world.history.read().number == 0
    assert not list(data(world).iterdir())


def test_an_import_that_slept_after_its_look_for_earlier_ones_counts_nothing_twice(
    world: BatchWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another imports the same file meanwhile, and nobody has told this one that it was taken for dead."""
    commits = world.history.commits

    def then_sleep(after: int = 0) -> Any:
        found = commits(after)
        monkeypatch.undo()
        imported(world)
        return found

    monkeypatch.setattr(world.history, "commits", then_sleep)
    with pytest.raises(CommitConflict, match="run it again"):
        imported(world)
    assert len(world.rows()) == len(OLD)
    world.run()
    assert_settled(world)


def test_a_sweeper_that_slept_since_it_looked_removes_no_generation(
    world: BatchWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was half a generation when it looked is live by now."""
    halves: list[str] = []

    def look(step: Step) -> None:
        if step is Step.GENERATION_WRITTEN:
            halves.extend(world.store.incomplete())

    assert world.run(meanwhile=look) is Outcome.PUBLISHED
    assert halves == world.store.generations()
    with monkeypatch.context() as patch:
        patch.setattr(world.store, "incomplete", lambda: halves)
        sweep_halves(world.store)
    assert_settled(world)


def test_a_generation_that_is_finished_late_does_not_follow_a_newer_one(
    world: BatchWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its writer slept in its commit, in which gigabytes are copied; since then rows were imported and published."""
    here, there = (on_host(world, name) for name in ("here", "there"))
    world.store, commit = here, here.commit

    def sleep_first(name: str) -> None:
        imported(world)
        world.store = there
        assert world.run() is Outcome.PUBLISHED
        commit(name)

    monkeypatch.setattr(here, "commit", sleep_first)
    with pytest.raises(CommitConflict):
        world.run()
    assert world.run() is Outcome.NOTHING_NEW
    assert_settled(world)
    assert [epoch.epoch for epoch in world.registry.read().epochs] == [1]


def test_two_layers_with_one_lease_between_them(world: BatchWorld, tmp_path: Path) -> None:
    """The first stops after its rows were written, for longer than the lease; the second goes to work, and dies."""
    files, one, two = LocalFiles(tmp_path / "lease"), Ticking(), Ticking()
    asleep, other = FileLease(files, one, beat_s=3600.0), FileLease(files, two, beat_s=3600.0)
    me, you = Holder("here", 1, 0), Holder("there", 2, 0)
    assert asleep.attempt(me) is None
    held: list[bool] = []

    def sleep(step: Step) -> None:
        if step is Step.ROWS_WRITTEN and not held:
            while other.attempt(you) is not None:
                two.sleep(1)
            held.append(True)
            taken_over(world)

    with pytest.raises(Transient, match="run it again"):
        world.run(meanwhile=sleep)
    asleep.release()
    assert asleep.attempt(me) == you
    assert world.run() is Outcome.PUBLISHED
    other.release()
    assert_settled(world)
