"""Whatever happened: a history whose files are merged says what one says whose files never are.

Two histories are told the same, and one of them is merged at any time, by processes that die at any moment, or whose
lock another takes over.
"""

import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_layer.history.base_finder import first_in_window
from batch_layer.history.base_generation import choose, in_window, new_since
from batch_layer.housekeeping.merge_planning import Sizes, to_merge
from batch_layer.housekeeping.row_retention import DAY_MS, Limits, droppable, portions
from oryx_py.adapters.history_records import HistoryRecords
from oryx_py.cli.history_files.ordering import rows_in_order
from oryx_py.events import FoldSettings
from oryx_py.model.generations.manifest import Manifest
from oryx_py.model.history.commits import IMPORTED_FROM, HistoryFile
from oryx_py.ports import Record
from tests.support.batch import Crash, SlowEngine
from tests.support.histories import PARTITIONS, HistoryWorld, places

SIZES = Sizes(file=12, small=7, rows=30, files=9)
FOLDS = [
    FoldSettings("implicit", dedupe_window_s=0.02, dedupe_records=9),
    FoldSettings("implicit", dedupe_window_s=1.2 * DAY_MS / 1000, dedupe_records=6),
]
MOVES = [*["input"] * 8, "import", *["generation"] * 3, *["merge"] * 3, "crash", "overtaken", "swept"]


def row_of(rng: random.Random) -> Any:
    draw, user, item = rng.random(), rng.choice("abcdef"), rng.choice("abc")
    told = (user, item, 1.0) if draw < 0.9 else (user, "", None) if draw < 0.95 else ("", item, None)
    passed = rng.choice([-9, 0, 1, 2, 3, 3, DAY_MS // 20, DAY_MS // 10, DAY_MS // 5])
    return told, rng.choice([None, None, b"1", b"2"]), passed


class Twins:
    """A history that is merged, and one that is not."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        self.rng, self.counted = rng, Counter[str]()
        self.merged, self.plain = (HistoryWorld(folder / name, kept=rng.choice([1, 2])) for name in ("merged", "plain"))
        self.plain.kept = self.merged.kept
        # So far from midnight that no time goes back across it: then rows of one commit are out of order by days.
        self.merged.now = self.plain.now = 12_345_678
        self.fold = rng.choice(FOLDS)
        self.limits = rng.choice([Limits(), Limits(max_age_days=3), Limits(max_rows=40)])

    def do(self, move: str) -> None:
        if move in {"input", "import"}:
            told = [row_of(self.rng) for _ in range(self.rng.randint(1, 5))]
            for world in (self.merged, self.plain):
                world.add(move, told)
        elif move == "generation":
            if self.rng.random() < 0.1:
                self.fold = self.rng.choice(FOLDS)
            for world in (self.merged, self.plain):
                world.prune(self.fold, self.limits)
        else:
            self.merge(move)

    def merge(self, move: str) -> None:
        world, seen = self.merged, self.merged.log.read()
        engine, told = world.engine(kind=Interrupted), [row_of(self.rng)]
        assert isinstance(engine, Interrupted)
        if move == "overtaken":
            engine.meanwhile = lambda: self.add(told)
        elif move == "swept":
            engine.meanwhile = world.recover
        with pytest.MonkeyPatch.context() as patch, suppress(Crash):
            if move == "crash":
                self.die_somewhere(patch, engine)
            self.counted["died"] += 1
            world.merge(engine, SIZES)
            self.counted["died"] -= 1
        history = world.log.read()
        if history.number > seen.number and history.replaced:
            assert {file.path for file in seen.files} <= world.on_disk(), "who reads the state before still finds it"
            self.counted[move] += 1
        world.recover()
        history = world.log.read()
        assert {file.path for file in history.files} <= world.on_disk()
        named = {file.path.split("/")[1] for file in (*history.files, *history.replaced)}
        assert {path.split("/")[1] for path in world.on_disk()} <= named, "nothing is left that no commit knows"

    def add(self, told: list[Any]) -> None:
        for world in (self.merged, self.plain):
            world.add("input", told)

    def die_somewhere(self, patch: pytest.MonkeyPatch, engine: "Interrupted") -> None:
        world, where = self.merged, self.rng.choice(["written", "settled", "removing", "committed"])
        if where == "written":
            engine.meanwhile = die
        elif where == "settled":
            patch.setattr(world.files, "remove", die)
        elif where == "removing":
            drop = world.files.drop

            def half(names: list[str]) -> None:
                drop(names[: len(names) // 2])
                die()

            patch.setattr(world.files, "drop", half)
        else:
            append = world.log.append

            def lost(*arguments: Any, **named: Any) -> None:
                append(*arguments, **named)
                die()

            patch.setattr(world.log, "append", lost)

    def compare(self) -> None:
        """Look at both as everybody does who reads a history."""
        merged, plain = self.merged, self.plain
        history, other = merged.log.read(), plain.log.read()
        rows = merged.rows()
        assert rows == plain.rows()
        assert (history.rows, history.input, history.imported) == (other.rows, other.input, other.imported)
        self.compare_replay()
        for limits in (Limits(max_age_days=1), Limits(max_rows=5), self.limits):
            everything = dict(other.offsets)
            self.both(lambda world, of=(limits, everything): world.rows(dropping(world, *of)))
            some = {partition: self.rng.randint(0, end) for partition, end in everything.items()}
            # A file says its last commit also where that one's rows were forgotten, and may be held back by it.
            less, more = (places(world.rows(dropping(world, limits, some))) for world in (merged, plain))
            assert less <= more
        self.compare_bases()
        ends = [IMPORTED_FROM - 1] * PARTITIONS
        for table in rows_in_order(history, lambda path: merged.folder / path, ["partition", "offset"]):
            for row in table.to_pylist():
                assert row["offset"] > ends[row["partition"]], "an export goes through them in the order of the offsets"
                ends[row["partition"]] = row["offset"]

    def compare_replay(self) -> None:
        ends, partition = self.plain.log.read().offsets, self.rng.randrange(PARTITIONS)
        start, stop = sorted(self.rng.randint(0, ends.get(partition, 0) + 1) for _ in range(2))
        wanted = [row["offset"] for row in self.plain.rows() if row["partition"] == partition]
        found = self.both(lambda world: replayed(world, partition, start, stop))
        assert [record.offset for record in found] == [offset for offset in wanted if start <= offset < stop]

    def compare_bases(self) -> None:
        for fold in FOLDS:
            if not self.both(lambda world, fold=fold: chosen(world, fold) is not None):
                continue
            self.both(lambda world, fold=fold: world.rows(new_since(chosen(world, fold).history, world.log.read())))
            windows = []
            for world in (self.merged, self.plain):
                manifest, history = chosen(world, fold), world.log.read()
                starts = {partition: offset for partition, (offset, _) in manifest.dedupe_from.items()}
                rows = world.rows(in_window(manifest, history, first_of(world, manifest, starts)))
                windows.append(places([row for row in rows if row["offset"] >= starts.get(row["partition"], 1 << 60)]))
            assert windows[0] >= windows[1]

    def both(self, ask: Callable[..., Any]) -> Any:
        """What both say to a question."""
        one, other = ask(self.merged), ask(self.plain)
        assert one == other
        return one


class Interrupted(SlowEngine):
    """An engine in whose process something happens when files have been written."""

    meanwhile: Callable[[], object] = staticmethod(lambda: None)

    def merge(self, *arguments: Any) -> None:
        super().merge(*arguments)
        self.meanwhile()


def die(*_: Any) -> None:
    raise Crash


def dropping(world: HistoryWorld, limits: Limits, needed: dict[int, int]) -> list[HistoryFile]:
    return droppable(portions(world.log.read(), world.log.commits()), limits, needed, world.now)


def replayed(world: HistoryWorld, partition: int, start: int, stop: int) -> list[Record]:
    past = HistoryRecords(world.log, "in", lambda path: (world.folder / path).open("rb"))
    past.offsets()
    return list(past.records(partition, start, stop))


def chosen(world: HistoryWorld, fold: FoldSettings) -> Any:
    return choose(world.manifests.values(), world.log.read(), fold)


def first_of(world: HistoryWorld, manifest: Manifest, starts: dict[int, int]) -> int:
    return first_in_window(world.log, starts, manifest.history)


@settings(max_examples=15)
@given(st.lists(st.sampled_from(MOVES), min_size=10, max_size=30), st.randoms(use_true_random=False))
def test_a_merged_history_says_what_one_says_that_is_not(
    tmp_path_factory: pytest.TempPathFactory, moves: list[str], rng: random.Random
) -> None:
    twins = Twins(tmp_path_factory.mktemp("twins"), rng)
    for move in moves:
        twins.do(move)
        twins.compare()


@pytest.mark.parametrize("seed", range(4))
def test_so_it_does_after_many_days(seed: int, tmp_path: Path) -> None:
    """Drawn here and not by Hypothesis, so that everything happens often."""
    rng, counted = random.Random(seed), Counter[str]()
    for case in range(3):
        twins = Twins(tmp_path / f"{case}", rng)
        for move in rng.choices(MOVES, k=50):
            twins.do(move)
            twins.compare()
        counted += twins.counted
        assert len(twins.merged.log.read().files) <= len(twins.plain.log.read().files)
    assert counted["merge"] > 2
    assert counted["died"] > 0


def test_each_row_is_merged_once(tmp_path: Path) -> None:
    """However often it is asked for; where nothing was forgotten, which makes files smaller."""
    rng, world = random.Random(5), HistoryWorld(tmp_path)
    for _ in range(120):
        told = [(("a", rng.choice("abc"), 1.0), None, rng.choice([1, DAY_MS // 30])) for _ in range(rng.randint(1, 5))]
        world.add("input", told)
        world.prune(FOLDS[0])
        world.merge(sizes=SIZES)
    merges = [commit for commit in world.log.commits() if commit.kind == "merge"]
    history = world.log.read()
    merged = sum(file.rows for commit in merges for file in commit.files)
    assert to_merge(history, SIZES) == []
    assert history.rows / 2 < merged <= history.rows
    assert len({path for commit in merges for path in commit.dropped}) == sum(len(each.dropped) for each in merges)
    assert len(history.files) < 120 / 2
