"""What is done to the history between the rows' commit and training: limits, and what was forgotten."""

import shutil
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_layer.folding.forgotten_rows import NOBODYS_ITEM, Forgets, Repeats
from batch_layer.folding.input_rows import HISTORY_SCHEMA
from batch_layer.history.base_finder import BaseFinder
from batch_layer.history.base_generation import choose, in_window, is_made_of, new_since, reached
from batch_layer.history.folder import HistoryFolder
from batch_layer.housekeeping.pruning import Pruner
from batch_layer.housekeeping.row_retention import Limits
from batch_layer.run.steps import Outcome
from oryx_py.adapters.clock import SystemClock
from oryx_py.adapters.file_systems.local_files import LocalFiles
from oryx_py.adapters.places import history_log, open_registry, open_store
from oryx_py.errors import JobFailed
from oryx_py.events import FoldSettings, KindSettings
from oryx_py.messages import partition_of
from oryx_py.model.history.commits import IMPORTED_FROM, History, HistoryCommit, HistoryFile
from tests.support.batch import BatchWorld, SlowEngine, local_path, pairs_of, read_history, slow_fold

_IDS = st.sampled_from(["a", "b", "c"])
_TOLD = st.lists(
    st.tuples(
        st.tuples(_IDS, _IDS, st.sampled_from([1.0, 0.1, None]))
        | st.tuples(_IDS, st.just(""), st.none())
        | st.tuples(st.just(""), _IDS, st.none()),
        st.sampled_from([None, b"1", b"2"]),
        st.integers(0, 3),
    ),
    max_size=30,
)


def log_of(told: list[Any]) -> list[dict[str, Any]]:
    rows, now = [], 0
    for offset, ((user, item, strength), key, passed) in enumerate(told):
        now += passed
        for partition in [partition_of(user, 2)] if user else range(2):
            row = (partition, offset, now, key, user, item, strength, None, "kind")
            rows.append(dict(zip(HISTORY_SCHEMA.names, row, strict=True)))
    return rows


@settings(deadline=None, max_examples=100)
@given(_TOLD, st.integers(0, 30))
def test_without_what_was_forgotten_the_fold_is_the_same(told: list[Any], cut: int) -> None:
    """Repeats are told apart as before, also where what they repeat was forgotten in the meantime."""
    fold = FoldSettings("implicit", dedupe_window_s=0.004, dedupe_records=4)
    rows = log_of(told)
    table = pa.Table.from_pylist(rows[:cut], HISTORY_SCHEMA)
    forgets = Forgets()
    forgets.add(Repeats(fold).without(table))
    left = forgets.rewritten(table)
    kept = rows[:cut] if left is None else left.to_pylist()
    assert slow_fold([*kept, *rows[cut:]], fold) == slow_fold(rows, fold)
    again = pa.Table.from_pylist(kept, HISTORY_SCHEMA)
    assert not forgets.forgotten(again).any()


@settings(deadline=None, max_examples=100)
@given(_TOLD, st.integers(0, 30))
def test_where_nobody_tells_repeats_apart_nothing_stays_of_what_was_forgotten(told: list[Any], cut: int) -> None:
    """Neither of what earlier forgets left, when it was done."""
    fold = FoldSettings("implicit", dedupe_window_s=0.0)
    rows = log_of(told)
    earlier, table = Forgets(), pa.Table.from_pylist(rows[:cut], HISTORY_SCHEMA)
    earlier.add(table)
    husks = earlier.rewritten(table)
    table = pa.Table.from_pylist([*(rows[:cut] if husks is None else husks.to_pylist()), *rows[cut:]], HISTORY_SCHEMA)
    forgets = Forgets(keeps_keys=False)
    forgets.add(table)
    left = forgets.rewritten(table)
    kept = table.to_pylist() if left is None else left.to_pylist()
    assert slow_fold(kept, fold) == slow_fold(rows, fold)
    assert not any(row["item"] == NOBODYS_ITEM for row in kept)
    wanted = Forgets()
    wanted.add(pa.Table.from_pylist(rows, HISTORY_SCHEMA))
    for row in kept:
        if row["item"] and row["user"]:
            place = pa.Table.from_pylist([row], HISTORY_SCHEMA)
            assert not wanted.forgotten(place).any()
        assert row in rows, "no row is there that nobody sent"


@pytest.fixture
def world(tmp_path: Path) -> BatchWorld:
    return BatchWorld(tmp_path)


NO_LIMITS = Limits()


def pruner(world: BatchWorld, limits: Limits = NO_LIMITS) -> Pruner:
    return Pruner(
        log=world.history,
        folder=world.history_folder,
        engine=world.engine,
        registry=world.registry,
        store=world.store,
        limits=limits,
        fold=world.recipe.fold,
        clock=SystemClock(),
        rng=np.random.default_rng(),
    )


def take_in(world: BatchWorld, *values: str) -> None:
    """A commit of rows, without a generation of them."""
    world.send(*values)
    world.prune = pruner(world)
    world.run()


def files_below(world: BatchWorld) -> set[str]:
    return {
        path.relative_to(world.folder / "history").as_posix()
        for path in (world.folder / "history/data").rglob("*.parquet")
    }


def test_the_next_generations_files_have_nothing_of_what_was_forgotten(world: BatchWorld) -> None:
    world.send("ann,tea,1", "bob,tea,2", "bob,jam,1", "cid,egg,1")
    world.run()
    before = world.history.read()
    world.send("bob,,", ",egg,", "bob,egg,3")
    take_in(world)
    history = world.history.read()
    assert [commit.kind for commit in world.history.commits()] == ["input", "input", "rewrite"]
    assert pairs_of(world.newest()) == {"ann": {"tea": 1.0}, "bob": {"egg": 3.0}}
    assert {(row["user"], row["item"]) for row in world.rows() if row["strength"] is not None} == {
        ("ann", "tea"),
        ("bob", "egg"),
    }
    assert {file.origin for file in history.files} == {1, 2}
    assert files_below(world) == {file.path for file in history.files}
    assert history.rows == len(world.rows()) < before.rows + 7
    number = history.number
    take_in(world, "dan,tea,1")
    assert world.history.read().number == number + 1, "nothing is left to be rewritten"


def test_rows_that_could_not_be_written_anew_leave_nothing_to_be_swept(
    world: BatchWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the disk is full: each attempt would leave a directory and, as it is swept, an empty commit."""
    world.send("ann,tea,1", "bob,tea,2")
    world.run()
    rewrite = world.engine.rewrite

    def half(*told: Any) -> Any:
        rewrite(*told)
        raise JobFailed("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(world.engine, "rewrite", half)
        with pytest.raises(JobFailed):
            take_in(world, "bob,,")
    assert files_below(world) == {file.path for file in world.history.read().files}
    take_in(world)
    assert [commit.kind for commit in world.history.commits()] == ["input", "input", "rewrite"]


@pytest.mark.parametrize("window_s", [0.0, 86_400.0])
def test_rows_with_a_key_leave_their_places_only_where_repeats_are_told_apart(
    world: BatchWorld, window_s: float
) -> None:
    """Also those that were left before, when the window is closed."""
    for number, value in enumerate(("ann,tea,1", "ann,jam,1", "bob,jam,1", "bob,tea,1")):
        world.send(value, id_=b"mail %d" % number)
    world.run()
    world.send("ann,,", ",jam,", id_=b"forget")
    take_in(world)
    assert len([row for row in world.rows() if row["user"]]) == 5
    fold = msgspec.structs.replace(world.recipe.fold, dedupe_window_s=window_s)
    world.use(msgspec.structs.replace(world.recipe, fold=fold))
    world.send("cid,tea,1", "cid,egg,1", id_=b"more")
    world.send("cid,,", id_=b"another")
    take_in(world)
    assert pairs_of(world.newest()) == {"bob": {"tea": 1.0}}
    left = sorted((row["user"], row["item"]) for row in world.rows() if row["user"])
    assert (left == [("ann", ""), ("bob", "tea"), ("cid", "")]) == (window_s == 0)


def test_a_forget_that_only_repeats_an_earlier_one_forgets_nothing(world: BatchWorld) -> None:
    """Sent again by a client that did not see the answer, after the user had come back."""
    world.prune = pruner(world)
    world.send("ann,tea,1")
    world.send("ann,,", id_=b"key")
    world.run()
    world.send("ann,jam,1")
    world.send("ann,,", id_=b"key")
    world.run()
    assert pairs_of(world.newest()) == {"ann": {"jam": 1.0}}
    assert [row["item"] for row in world.rows() if row["strength"] is not None] == ["jam"]


def test_what_a_dead_process_dropped_is_removed_by_the_next(world: BatchWorld) -> None:
    world.send("ann,tea,1")
    world.run()
    history = world.history.read()
    (path,) = [file.path for file in history.files]
    world.history.append(history, [], {}, 0, 1, kind="retention", dropped=[path])
    assert path in files_below(world)
    pruner(world)(world.history.read())
    assert not files_below(world)


def test_todays_rows_stay_whatever_the_limits(world: BatchWorld) -> None:
    world.send("ann,tea,1")
    world.run()
    assert pruner(world, Limits(max_age_days=1))(world.history.read()) == world.history.read()
    world.send("bob,tea,1")
    world.run()
    history = pruner(world, Limits(max_rows=1))(world.history.read())
    assert history == world.history.read(), "a day goes as a whole or not at all"


def imported(world: BatchWorld, user: str) -> History:
    directory = world.history_folder.new("imported")
    row = (partition_of(user, 3), IMPORTED_FROM, 5, None, user, "jam", 2.0, None, None)
    local = world.folder / "local.parquet"
    pq.write_table(pa.Table.from_pylist([dict(zip(HISTORY_SCHEMA.names, row, strict=True))], HISTORY_SCHEMA), local)
    world.history_folder.put(local, f"{directory}/day=1970-01-01/part.parquet")
    files = world.history_folder.settle(directory, 1)
    span = {partition_of(user, 3): (IMPORTED_FROM, IMPORTED_FROM + 1)}
    return world.history.append(world.history.read(), files, {}, 0, 5, kind="import", imported=span)


def test_an_import_makes_a_new_generation_without_new_input(world: BatchWorld) -> None:
    world.send("ann,tea,1")
    assert world.run() is Outcome.PUBLISHED
    assert world.run() is Outcome.NOTHING_NEW
    imported(world, "eve")
    assert world.run() is Outcome.PUBLISHED
    assert pairs_of(world.newest()) == {"ann": {"tea": 1.0}, "eve": {"jam": 2.0}}
    assert world.run() is Outcome.NOTHING_NEW


def test_rows_beyond_the_limits_are_dropped_and_count_no_longer(world: BatchWorld) -> None:
    """Here the imported row, which came in 1970."""
    imported(world, "eve")
    world.send("ann,tea,1")
    world.prune = pruner(world, Limits(max_age_days=30))
    assert world.run() is Outcome.PUBLISHED
    assert pairs_of(world.newest()) == {"ann": {"tea": 1.0}}
    assert [commit.kind for commit in world.history.commits()] == ["import", "input", "retention"]
    assert files_below(world) == {file.path for file in world.history.read().files}
    assert world.run() is Outcome.NOTHING_NEW


def test_old_data_does_not_bring_back_who_was_forgotten_before_it_was_imported(world: BatchWorld) -> None:
    world.send("ann,tea,1", "eve,,")
    world.prune = pruner(world)
    world.run()
    imported(world, "eve")
    world.run()
    assert pairs_of(world.newest()) == {"ann": {"tea": 1.0}}
    assert [(row["user"], row["item"]) for row in world.rows() if row["strength"] is not None] == [("ann", "tea")]


def finder(world: BatchWorld) -> BaseFinder:
    return BaseFinder(registry=world.registry, store=world.store, history=world.history, folder=world.history_folder)


def test_a_generation_is_folded_on_as_long_as_only_new_rows_came_behind_it(world: BatchWorld) -> None:
    world.send(*(f"u{n},tea,1" for n in range(20)))
    world.run()
    one, fold = world.newest(), world.recipe.fold
    world.send("ann,tea,1")
    world.run()
    history = world.history.read()
    base = finder(world)(history, fold)
    assert base is not None
    assert base.manifest.generation == world.newest().name, "the newest has the most"
    assert (base.new, base.new_rows) == ((), 0)
    assert choose([one.manifest], history, fold) == one.manifest
    assert [file.origin for file in new_since(one.manifest.history, history)] == [2]
    assert choose([one.manifest], history, msgspec.structs.replace(fold, dedupe_window_s=1.0)) is None
    assert finder(world)(imported(world, "eve"), fold) is None, "imported rows come before those that it has"


def test_a_damaged_generation_is_not_folded_on(world: BatchWorld) -> None:
    world.send(*(f"u{n},tea,1" for n in range(20)))
    world.run()
    path = world.newest().path / "users.history.strengths.npy"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    assert finder(world)(world.history.read(), world.recipe.fold) is None


def test_a_base_is_not_worth_it_where_most_rows_are_new(world: BatchWorld) -> None:
    world.send("ann,tea,1")
    world.run()
    one = world.newest().manifest
    world.send(*(f"u{n},tea,1" for n in range(20)))
    world.run()
    assert choose([one], world.history.read(), world.recipe.fold) is None


def commit(number: int, **spans: tuple[int, int]) -> HistoryCommit:
    span = {int(name[1:]): each for name, each in spans.items()}
    return HistoryCommit(number=number, files=(HistoryFile(f"{number}", 1, 1),), input=span, rejected=0, time_ms=0)


def test_the_window_reaches_back_to_the_last_commit_that_begins_before_it() -> None:
    commits = [commit(1, p0=(0, 5), p1=(0, 2)), commit(2, p0=(5, 9), p1=(2, 2)), commit(3, p0=(9, 12), p1=(2, 8))]
    assert reached(commits, {0: 10}) == 3
    assert reached(commits, {0: 9, 1: 2}) == 3
    assert reached(commits, {0: 10, 1: 1}) == 1
    assert reached(commits[1:], {0: 2}) is None


def test_imports_have_no_ids_to_look_back_for(world: BatchWorld) -> None:
    world.send("ann,tea,1")
    world.run()
    history = imported(world, "eve")
    manifest = msgspec.structs.replace(world.newest().manifest, history=history.number)
    assert [file.origin for file in in_window(manifest, history, 1)] == [1]


def test_a_kind_that_nobody_knew_counts_when_the_settings_name_it(world: BatchWorld) -> None:
    """Records without a kind, and with one that the settings lack, are interactions as any; the rows keep the name."""
    world.send("ann,tea,2", "ann,jam,2,,buy", "ann,egg,2,,view")
    world.run()
    assert pairs_of(world.newest()) == {"ann": {"tea": 2.0, "jam": 2.0, "egg": 2.0}}
    fold = msgspec.structs.replace(world.recipe.fold, kinds={"buy": KindSettings(weight=5.0)})
    world.use(msgspec.structs.replace(world.recipe, fold=fold))
    world.run()
    assert pairs_of(world.newest()) == {"ann": {"tea": 2.0, "jam": 10.0, "egg": 2.0}}
    assert world.newest().manifest.fold == fold


class Asked(SlowEngine):
    """Writes down what it is asked of forgets, in rows of the files that it is given."""

    def __init__(self, world: BatchWorld) -> None:
        super().__init__(world.log, "in", world.recipe)
        self.asked: list[tuple[str, int]] = []

    def find_forgets(self, told: Any, keyed: Any, starts: Any) -> pa.Table:
        found = super().find_forgets(told, keyed, starts)
        self.asked.append(("told", self._rows(told)))
        self.asked.append(("keyed", self._rows(keyed)))
        self.asked.append(("found", len(found)))
        return found

    def rewrite(self, files: Any, forgets: pa.Table, into: str) -> Any:
        rewritten = super().rewrite(files, forgets, into)
        self.asked.append(("replaced", len(rewritten.replaced)))
        return rewritten

    def _rows(self, files: Any) -> int:
        return len(read_history([local_path(file) for file in files]))


class ReadFiles(LocalFiles):
    """Writes down which files of rows this process reads."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.read_paths: list[str] = []

    def read(self, path: str, start: int = 0, length: int | None = None) -> bytes | None:
        if path.startswith("data/"):
            self.read_paths.append(path)
        return super().read(path, start, length)


def test_a_forget_costs_what_is_new_and_brings_no_rows_into_this_process(world: BatchWorld) -> None:
    """Every row has a key, and so has the forget."""
    world.use(
        msgspec.structs.replace(
            world.recipe, fold=msgspec.structs.replace(world.recipe.fold, dedupe_window_s=3600.0, dedupe_records=10)
        )
    )
    engine = world.engine = Asked(world)
    files = ReadFiles(world.folder / "history")
    world.history_folder = HistoryFolder(files)
    world.prune = pruner(world)
    for number in range(6):
        for each in range(20):
            world.send(f"u{each},i{number},1", id_=b"%d-%d" % (number, each))
        world.run()
    assert engine.asked == [], "no commit says that there are forgets"
    files.read_paths.clear()
    world.send("u3,,", id_=b"forget")
    world.run()
    counted = dict(engine.asked)
    assert (counted["told"], counted["found"], counted["replaced"]) == (1, 1, 6)
    assert 1 < counted["keyed"] <= 1 + 3 * 20 < world.history.read().rows, "the window before, not all rows"
    written = [file.path for file in world.history.read().files if "group=" in file.path]
    assert len(written) == 6
    assert set(files.read_paths) <= {*written, world.history.commits(after=6)[0].files[0].path}, "footers of new files"
    engine.asked.clear()
    world.send("u4,jam,1", id_=b"later")
    world.run()
    assert engine.asked == []


class Copy:
    """A copy of a world's history, to be brought back as an operator would, with all processes stopped."""

    def __init__(self, world: BatchWorld) -> None:
        self.world, self.folder = world, world.folder / "history"
        shutil.copytree(self.folder, world.folder / "copy")

    def bring_back(self) -> None:
        shutil.rmtree(self.folder)
        shutil.copytree(self.world.folder / "copy", self.folder)
        self.world.history = history_log(str(self.folder))
        self.world.prune = pruner(self.world)


def test_a_history_from_a_copy_is_not_folded_onto_generations_of_what_it_lacks(world: BatchWorld) -> None:
    """Commits have their old numbers again and other rows: a generation would seem to have rows that it has not."""
    world.send(*(f"u{n},tea,1" for n in range(20)))
    world.run()
    first, copy = world.newest().manifest, Copy(world)
    lost = []
    for user in ("ann", "bob"):
        world.send(f"{user},tea,1")
        world.run()
        lost.append(world.newest().manifest)
    copy.bring_back()
    for user in ("cid", "dan", "eve"):
        world.send(f"{user},tea,1")
        world.run()
        history = world.history.read()
        chosen = finder(world).chosen(history, world.recipe.fold)
        assert chosen is not None
        assert chosen.generation == world.newest().name
        later = {each.generation: world.history.commits(after=each.history) for each in (first, *lost)}
        assert is_made_of(first, history, later[first.generation])
        assert not any(is_made_of(each, history, later[each.generation]) for each in lost)
    assert pairs_of(world.newest()).keys() >= {"u0", "u19", "ann", "bob", "cid", "dan", "eve"}


def test_who_was_forgotten_since_the_copy_leaves_the_history_that_was_brought_back(world: BatchWorld) -> None:
    take_in(world, "ann,tea,1", "bob,tea,1")
    copy = Copy(world)
    take_in(world, "bob,jam,1")
    take_in(world, "ann,,")
    copy.bring_back()
    assert "ann" in {row["user"] for row in world.rows()}
    take_in(world, "bob,egg,1")
    assert [row["item"] for row in world.rows() if row["user"] == "ann"] == [""], "the forget stays, and nothing else"
    assert pairs_of(world.newest()) == {"bob": {"tea": 1.0, "jam": 1.0, "egg": 1.0}}


def test_a_history_without_its_store_makes_a_generation_of_all_it_has(world: BatchWorld) -> None:
    """As docs/operations.md says of a store that is lost: epochs begin at 1 again, above what the topic has of them."""
    take_in(world, "ann,tea,1", "bob,jam,1")
    take_in(world, "ann,egg,1")
    pairs, announced = pairs_of(world.newest()), world.announced()
    shutil.rmtree(world.folder / "store")
    world.registry, world.store = open_registry(str(world.folder / "store")), open_store(str(world.folder / "store"))
    take_in(world)
    assert pairs_of(world.newest()) == pairs == {"ann": {"tea": 1.0, "egg": 1.0}, "bob": {"jam": 1.0}}
    (epoch,) = world.registry.read().epochs
    assert epoch.epoch == 1
    assert all(epoch.start[partition] >= len(before) for partition, before in announced.items())
    assert [refs[-1].generation for refs in world.announced().values()] == [epoch.generation] * 2
