"""Whatever came in, was imported, dropped or made before: a run carries out all forgets that count, and no others."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_layer.history.reshaping import Reshaper
from batch_layer.history.retention import Limits
from batch_layer.history_folder import HistoryFolder
from batch_layer.recipe import recipe_of
from batch_layer.rows import HISTORY_SCHEMA
from oryx_py.adapters.clock import SystemClock
from oryx_py.adapters.local_files import LocalFiles
from oryx_py.adapters.places import history_log
from oryx_py.config import Input, Model
from oryx_py.events import FoldSettings
from oryx_py.messages import partition_of
from oryx_py.model.history import IMPORTED_FROM
from oryx_py.model.manifest import Counts, Manifest
from oryx_py.testing.fake_log import FakeLog
from tests.support.batch import SlowEngine, left_of, read_history, repeats_among, window_starts

PARTITIONS = 2
_IDS = st.sampled_from(["a", "b", "c"])
_ROW = st.tuples(
    st.tuples(_IDS, _IDS, st.just(1.0))
    | st.tuples(_IDS, st.just(""), st.none())
    | st.tuples(st.just(""), _IDS, st.none()),
    st.sampled_from([None, b"1", b"2"]),
    st.sampled_from([-9, 0, 1, 2, 3]),
)
_ROWS = st.lists(_ROW, min_size=1, max_size=6)
_STEP = (
    st.tuples(st.just("input"), _ROWS)
    | st.tuples(st.just("input"), _ROWS)
    | st.tuples(st.just("import"), _ROWS)
    | st.tuples(st.just("drop"), st.just([]))
    | st.tuples(st.just("generation"), st.just([]))
    | st.tuples(st.just("generation"), st.just([]))
)
FOLDS = [
    FoldSettings("implicit", dedupe_window_s=0.004, dedupe_records=4),
    FoldSettings("implicit", dedupe_window_s=0.02, dedupe_records=9),
    FoldSettings("implicit", dedupe_window_s=0.0),
]


@dataclass
class _World:
    """A history, a generation that is live in name, and the time."""

    folder: Path

    def __post_init__(self) -> None:
        self.log = history_log(str(self.folder))
        self.files = HistoryFolder(LocalFiles(self.folder))
        self.last: Manifest | None = None
        self.now, self.number = 100, 0
        self.ends, self.imported = [0] * PARTITIONS, [IMPORTED_FROM] * PARTITIONS

    def add(self, kind: str, told: Sequence[Any]) -> None:
        ends = self.ends if kind == "input" else self.imported
        before, rows = list(ends), []
        for (user, item, strength), key, passed in told:
            self.now += passed
            for partition in [partition_of(user, PARTITIONS)] if user else range(PARTITIONS):
                row = (partition, ends[partition], self.now, key if kind == "input" else None, user, item, strength)
                rows.append(dict(zip(HISTORY_SCHEMA.names, (*row, None, None), strict=True)))
                ends[partition] += 1
        self.number += 1
        path = self.folder / f"data/{self.number}/part.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(rows, HISTORY_SCHEMA), path, row_group_size=2)
        spans = {partition: (before[partition], ends[partition]) for partition in range(PARTITIONS)}
        files = self.files.settle(f"data/{self.number}", len(rows))
        of = {"kind": "import", "imported": spans} if kind == "import" else {}
        self.log.append(self.log.read(), files, {} if of else spans, 0, self.now, **cast("Any", of))

    def drop(self) -> None:
        """Drop what is at the front of the fold, imports first."""
        history = self.log.read()
        if history.files:
            front = min(history.files, key=lambda file: (file.origin not in history.imports, file.origin))
            paths = [file.path for file in history.files if file.origin == front.origin]
            self.log.append(history, [], {}, 0, self.now, kind="retention", dropped=paths)

    def rows(self) -> list[dict[str, Any]]:
        rows = read_history([self.folder / file.path for file in self.log.read().files])
        return sorted(rows, key=lambda row: (row["partition"], row["offset"]))

    def reshape(self, fold: FoldSettings) -> None:
        recipe = recipe_of(Model(), "slow", Input())
        engine = SlowEngine(FakeLog(), "in", cast("Any", SimpleNamespace(fold=fold)))
        newest = None if self.last is None else SimpleNamespace(generation="last")
        Reshaper(
            log=self.log,
            folder=self.files,
            engine=engine,
            registry=cast("Any", SimpleNamespace(read=lambda: SimpleNamespace(newest_epoch=newest))),
            store=cast("Any", SimpleNamespace(manifest=lambda _: self.last)),
            limits=Limits(),
            fold=fold,
            clock=SystemClock(),
            rng=np.random.default_rng(),
        )(self.log.read())
        history = self.log.read()
        self.last = Manifest(
            generation="last",
            created_ms=0,
            trainer="none",
            feedback=fold.feedback,
            features=1,
            objective=recipe.objective,
            fold=fold,
            as_of_ms=0,
            counts=Counts(0, 0, 0, 0, 0, 0),
            input=history.input,
            history=history.number,
            dedupe_from=window_starts(self.rows(), fold),
            files={},
        )


def without_forgotten(rows: Sequence[Mapping[str, Any]], fold: FoldSettings) -> list[Any]:
    """What all forgets that count, of all rows, leave of these."""
    ignored = repeats_among(rows, fold)
    forgets = [row for row in rows if not (row["user"] and row["item"])]
    counting = [row for row in forgets if (row["partition"], row["offset"]) not in ignored]
    return [left for row in rows if (left := left_of(row, counting)) is not None]


@settings(max_examples=200)
@given(st.lists(_STEP, max_size=9), st.lists(st.sampled_from([0, 0, 0, 1, 2]), min_size=10, max_size=10))
def test_a_run_leaves_what_all_rows_leave(steps: list[tuple[str, list[Any]]], folds: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world, made = _World(Path(folder)), 0
        for kind, told in [*steps, ("generation", [])]:
            if kind == "drop":
                world.drop()
            elif kind == "generation":
                fold, wanted = FOLDS[folds[made]], without_forgotten(world.rows(), FOLDS[folds[made]])
                world.reshape(fold)
                assert world.rows() == wanted
                made += 1
            else:
                world.add(kind, told)
