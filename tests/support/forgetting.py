"""What every engine promises of forgets: logs in which everything happens, files of them, and what must come out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from batch_layer.engine import Engine
from batch_layer.folding.forgotten_rows import NOBODYS_ITEM
from batch_layer.folding.input_rows import HISTORY_SCHEMA
from batch_layer.history.file_footers import day_of
from oryx_py.events import FoldSettings
from oryx_py.messages import partition_of
from tests.support.batch import (
    FORGETS_SCHEMA,
    left_of,
    read_history,
    repeats_among,
    slow_fold,
    window_starts,
)

__all__ = ["FOLD", "WINDOWLESS", "ForgettingContract", "commits_of", "counting"]

PARTITIONS = 3
DAY_MS = 86_400_000
FOLD = FoldSettings("implicit", dedupe_window_s=200.0, dedupe_records=25)
WINDOWLESS = FoldSettings("implicit", dedupe_window_s=0.0)
Row = dict[str, Any]


def commits_of(rng: np.random.Generator, commits: int, rows: int) -> list[list[Row]]:
    """Logs with repeats within and across commits, forgets that repeat rows and each other, and times that go back."""
    ends, found = [7] * PARTITIONS, []
    for commit in range(commits):
        said: list[tuple[str, str, float | None, bytes | None]] = []
        if commit:
            said.append((f"across {commit - 1}", "", None, b"key"))
        for _ in range(rows):
            user, item = f"u{rng.integers(9)}é", f"i{rng.integers(7)}"
            strength: float | None = float(rng.integers(1, 5))
            draw = rng.random()
            if draw < 0.05:
                strength = None
            elif draw < 0.12:
                item, strength = "", None
            elif draw < 0.17:
                user, strength = "", None
            said.append((user, item, strength, b"%d" % rng.integers(8) if rng.random() < 0.6 else None))
        said.append((f"across {commit}", "", None, b"key"))
        told = []
        for number, (user, item, strength, key) in enumerate(said):
            now = (commit * rows + number) * 9_000 + DAY_MS - int(rng.integers(60_000) if rng.random() < 0.1 else 0)
            for partition in [partition_of(user, PARTITIONS)] if user else range(PARTITIONS):
                row = (partition, ends[partition], now, key, user, item, strength, None, "view")
                told.append(dict(zip(HISTORY_SCHEMA.names, row, strict=True)))
                ends[partition] += 1
        found.append(told)
    return found


def counting(rows: Sequence[Row], among: Sequence[Row], fold: FoldSettings) -> dict[tuple[int, str, str], int]:
    """Return by partition the newest forget of each user and item in ``rows`` that repeats none of ``among``."""
    ignored, newest = repeats_among(among, fold), dict[tuple[int, str, str], int]()
    for row in rows:
        if not (row["user"] and row["item"]) and (row["partition"], row["offset"]) not in ignored:
            who = row["partition"], row["user"], row["item"]
            newest[who] = max(row["offset"], newest.get(who, row["offset"]))
    return newest


def in_order(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row["partition"], row["offset"]))


class ForgettingContract:
    """Inherited by the tests of an engine: ``engine`` folds by `FOLD`, ``windowless`` by `WINDOWLESS`."""

    def written(self, folder: Path, commits: Sequence[Sequence[Row]]) -> list[str]:
        """Files of the commits, by URI; their folder's name needs care in a URI."""
        place = folder / "a b%41=é" / "day=1970-01-02"
        place.mkdir(parents=True)
        for number, rows in enumerate(commits):
            table = pa.Table.from_pylist(list(rows), HISTORY_SCHEMA)
            pq.write_table(table, place / f"{number}.parquet", row_group_size=40)
        return [(place / f"{number}.parquet").as_uri() for number in range(len(commits))]

    def found(
        self, engine: Engine, told: Sequence[str], keyed: Sequence[str], starts: Mapping[int, tuple[int, int]]
    ) -> dict[tuple[int, str, str], int]:
        table = engine.find_forgets(told, keyed, starts)
        rows = [(row["partition"], row["user"], row["item"], row["offset"]) for row in table.to_pylist()]
        assert len(rows) == len({row[:3] for row in rows}), "of each only the newest comes to this process"
        return {row[:3]: row[3] for row in rows}

    def test_forgets_that_repeat_no_row_are_found(self, engine: Engine, tmp_path: Path) -> None:
        commits = commits_of(np.random.default_rng(3), 3, 120)
        files, rows = self.written(tmp_path, commits), [row for commit in commits for row in commit]
        wanted = counting(rows, rows, FOLD)
        assert wanted != counting(rows, [], FOLD)
        assert self.found(engine, files, files, {}) == wanted

    def test_the_window_before_new_rows_says_what_all_rows_say(self, engine: Engine, tmp_path: Path) -> None:
        commits = commits_of(np.random.default_rng(4), 4, 100)
        files, rows = self.written(tmp_path, commits), [row for commit in commits for row in commit]
        starts = window_starts([row for commit in commits[:3] for row in commit], FOLD)
        assert all(row["offset"] < starts[row["partition"]][0] for row in commits[0])
        wanted = counting(commits[3], rows, FOLD)
        assert wanted != counting(commits[3], commits[3], FOLD)
        assert self.found(engine, files[3:], files[1:], starts) == wanted

    def test_where_no_key_is_there_twice_all_forgets_count(self, engine: Engine, tmp_path: Path) -> None:
        commits = commits_of(np.random.default_rng(5), 1, 80)
        for number, row in enumerate(commits[0]):
            row["id"] = b"key %d" % number
        files = self.written(tmp_path, commits)
        assert self.found(engine, files, files, {}) == counting(commits[0], [], FOLD)

    def test_files_without_forgets_have_none(self, engine: Engine, tmp_path: Path) -> None:
        commits = commits_of(np.random.default_rng(6), 1, 50)
        kept = [row for row in commits[0] if row["user"] and row["item"]]
        files = self.written(tmp_path, [kept])
        assert self.found(engine, files, files, {}) == {}

    def test_what_is_left_of_files_is_written_and_the_fold_stays(self, engine: Engine, tmp_path: Path) -> None:
        commits = commits_of(np.random.default_rng(7), 5, 60)
        home = partition_of("hermit", PARTITIONS)
        alone = {"user": "hermit", "item": "herbs", "strength": 1.0}
        commits[2] = [{**row, **alone} for row in commits[2] if row["partition"] == home]
        rows = [row for commit in commits for row in commit]
        files = self.written(tmp_path, commits)
        told = pa.Table.from_pylist(
            [
                dict(zip(FORGETS_SCHEMA.names, (partition, offset, user, item), strict=True))
                for (partition, user, item), offset in counting(rows, rows, FOLD).items()
            ],
            FORGETS_SCHEMA,
        )
        into = tmp_path / "a b%41=é" / "into"
        rewritten = engine.rewrite({uri: 10 + n for n, uri in enumerate(files)}, told, into.as_uri())
        left = [[kept for row in commit if (kept := left_of(row, told.to_pylist(), FOLD))] for commit in commits]
        changed = [number for number in range(5) if left[number] != commits[number]]
        assert set(rewritten.replaced) == {files[number] for number in changed} != set(files)
        assert rewritten.read == sum(len(commits[number]) for number in changed)
        assert rewritten.rows == sum(len(left[number]) for number in changed)
        for number in changed:
            paths = sorted((into / f"group={10 + number}").rglob("*.parquet"))
            assert in_order(read_history(paths)) == in_order(left[number])
            for path in paths:
                assert {f"day={day_of(row['kafka_ms'])}" for row in read_history([path])} == {path.parent.name}
        assert slow_fold([row for each in left for row in each], FOLD) == slow_fold(rows, FOLD)

    def test_where_no_repeats_are_told_apart_no_places_are_left(
        self, engine: Engine, windowless: Engine, tmp_path: Path
    ) -> None:
        """Nor those that were left when they were."""
        rows = [row for commit in commits_of(np.random.default_rng(9), 3, 60) for row in commit]
        files = self.written(tmp_path, [rows])
        told = engine.find_forgets(files, files, {})
        (tmp_path / "a b%41=é").rename(tmp_path / "before")
        husks = [husk for row in rows if (husk := left_of(row, told.to_pylist(), FOLD))]
        files = self.written(tmp_path, [husks])
        told = windowless.find_forgets(files, files, {})
        rewritten = windowless.rewrite({files[0]: 1}, told, (tmp_path / "into").as_uri())
        left = in_order(read_history(sorted((tmp_path / "into").rglob("*.parquet"))))
        wanted = [kept for row in husks if (kept := left_of(row, told.to_pylist(), WINDOWLESS))]
        assert left == in_order(wanted)
        assert (rewritten.read, rewritten.rows) == (len(husks), len(wanted))
        assert slow_fold(left, WINDOWLESS) == slow_fold(husks, WINDOWLESS)
        assert not any(row["item"] == NOBODYS_ITEM for row in left)

    def test_where_nothing_is_forgotten_nothing_is_written(self, engine: Engine, tmp_path: Path) -> None:
        commits = commits_of(np.random.default_rng(8), 2, 30)
        files = self.written(tmp_path, commits)
        of = [{"partition": 0, "offset": 1 << 30, "user": user, "item": ""} for user in ("nobody", "u")]
        told = pa.Table.from_pylist(of, FORGETS_SCHEMA)
        rewritten = engine.rewrite(dict.fromkeys(files, 1), told, (tmp_path / "into").as_uri())
        assert (list(rewritten.replaced), rewritten.rows) == ([], 0)

    def test_a_file_of_which_nothing_is_left_goes(self, engine: Engine, tmp_path: Path) -> None:
        row: Row = dict.fromkeys(HISTORY_SCHEMA.names, None) | {"partition": 1, "user": "ann", "item": "tea"}
        files = self.written(tmp_path, [[{**row, "offset": 5, "kafka_ms": -1, "strength": 1.0}]])
        told = pa.Table.from_pylist([{"partition": 1, "offset": 9, "user": "ann", "item": ""}], FORGETS_SCHEMA)
        rewritten = engine.rewrite({files[0]: 1}, told, (tmp_path / "into").as_uri())
        assert (list(rewritten.replaced), rewritten.read, rewritten.rows) == (files, 1, 0)
