"""Whatever came in, was imported, dropped or made before: a run carries out all forgets that count, and no others."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

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


def row_of(rng: random.Random) -> Any:
    draw, user, item = rng.random(), rng.choice("abc"), rng.choice("abc")
    told = (user, item, 1.0) if draw < 0.6 else (user, "", None) if draw < 0.8 else ("", item, None)
    return told, rng.choice([None, b"1", b"2"]), rng.choice([-9, 0, 1, 2, 3])


@pytest.mark.parametrize("seed", range(4))
def test_a_run_leaves_what_all_rows_leave(seed: int, tmp_path: Path) -> None:
    """Logs are drawn here and not by Hypothesis, whose small ones have forgets that matter too seldom."""
    rng, counted = random.Random(seed), Counter[str]()
    for case in range(30):
        world = _World(tmp_path / f"{case}")
        for kind in [*rng.choices(["input", "input", "import", "drop", "generation", "generation"], k=8), "generation"]:
            if kind == "drop":
                world.drop()
            elif kind == "generation":
                fold, rows = rng.choice([FOLDS[0], *FOLDS]), world.rows()
                wanted = without_forgotten(rows, fold)
                world.reshape(fold)
                assert world.rows() == wanted
                counted["changed" if wanted != rows else "the same"] += 1
            else:
                world.add(kind, [row_of(rng) for _ in range(rng.randint(1, 6))])
    assert min(counted.values()) > 10
