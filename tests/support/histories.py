"""A history of rows, with generations in name: what the batch layer does to it, without topics or training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from batch_layer.engine import Engine
from batch_layer.folding.input_rows import HISTORY_SCHEMA
from batch_layer.history.file_footers import day_of
from batch_layer.history.folder import HistoryFolder
from batch_layer.history.orphan_files import sweep_rows
from batch_layer.housekeeping.file_merging import FileMerger
from batch_layer.housekeeping.merge_planning import SIZES, Sizes
from batch_layer.housekeeping.pruning import Pruner
from batch_layer.housekeeping.row_retention import Limits
from batch_layer.recipe import recipe_of
from oryx_py.adapters.clock import SystemClock
from oryx_py.adapters.file_systems.local_files import LocalFiles
from oryx_py.adapters.places import history_log
from oryx_py.config import Input, Model
from oryx_py.events import FoldSettings
from oryx_py.messages import partition_of
from oryx_py.model.generations.manifest import Counts, Manifest
from oryx_py.model.history.commits import IMPORTED_FROM, HistoryFile
from oryx_py.testing.fake_log import FakeLog
from tests.support.batch import SlowEngine, read_history, window_starts

__all__ = ["PARTITIONS", "HistoryWorld", "places"]

PARTITIONS = 2
_RECIPE = recipe_of(Model(), "slow", Input())
_NO_LIMITS = Limits()


@dataclass
class HistoryWorld:
    """A history in a folder, the generations that were made of it, and the time.

    ``kept``: how many of the newest generations stay.
    """

    folder: Path
    kept: int = 1

    def __post_init__(self) -> None:
        self.log = history_log(str(self.folder))
        self.files = HistoryFolder(LocalFiles(self.folder))
        self.manifests: dict[str, Manifest] = {}
        self.read: dict[str, list[dict[str, Any]]] = {}
        self.now, self.number, self.made = 100, 0, 0
        self.ends, self.imported = [0] * PARTITIONS, [IMPORTED_FROM] * PARTITIONS

    def add(self, kind: str, told: Sequence[Any]) -> None:
        """Add what was told in one commit: what, with which key, after how many milliseconds. A file a day."""
        ends = self.ends if kind == "input" else self.imported
        before, days = list(ends), dict[str, list[dict[str, Any]]]()
        for (user, item, strength), key, passed in told:
            self.now += passed
            for partition in [partition_of(user, PARTITIONS)] if user else range(PARTITIONS):
                row = (partition, ends[partition], self.now, key if kind == "input" else None, user, item, strength)
                of_day = days.setdefault(day_of(self.now), [])
                of_day.append(dict(zip(HISTORY_SCHEMA.names, (*row, None, None), strict=True)))
                ends[partition] += 1
        self.number += 1
        directory = f"data/{self.number}"
        for day, rows in days.items():
            path = self.folder / f"{directory}/day={day}/part.parquet"
            path.parent.mkdir(parents=True)
            pq.write_table(pa.Table.from_pylist(rows, HISTORY_SCHEMA), path, row_group_size=2)
        spans = {partition: (before[partition], ends[partition]) for partition in range(PARTITIONS)}
        files = self.files.settle(directory, sum(map(len, days.values())))
        of = {"kind": "import", "imported": spans} if kind == "import" else {}
        self.log.append(self.log.read(), files, {} if of else spans, 0, self.now, **cast("Any", of))

    def drop(self) -> None:
        """Drop what is at the front of the fold, imports first."""
        history = self.log.read()
        if history.files:
            front = min(history.files, key=lambda file: (file.origin not in history.imports, file.origin))
            paths = [file.path for file in history.files if file.origin == front.origin]
            self.log.append(history, [], {}, 0, self.now, kind="retention", dropped=paths)

    def rows(self, files: Sequence[HistoryFile] | None = None) -> list[dict[str, Any]]:
        """Return the rows of these files, of all where none are given, in the order of each partition's offsets."""
        files = self.log.read().files if files is None else files
        for file in files:
            if file.path not in self.read:
                self.read[file.path] = read_history([self.folder / file.path])
        rows = [row for file in files for row in self.read[file.path]]
        return sorted(rows, key=lambda row: (row["partition"], row["offset"]))

    @property
    def last(self) -> Manifest | None:
        """The newest generation's manifest."""
        return next(reversed(self.manifests.values()), None)

    @property
    def store(self) -> Any:
        """Where the generations are."""
        return SimpleNamespace(manifest=self.manifests.__getitem__, generations=lambda: list(self.manifests))

    def engine(self, fold: FoldSettings = _RECIPE.fold, kind: type[SlowEngine] = SlowEngine) -> SlowEngine:
        """Return an engine that folds by these settings."""
        return kind(FakeLog(), "in", cast("Any", SimpleNamespace(fold=fold)))

    def prune(self, fold: FoldSettings, limits: Limits = _NO_LIMITS) -> None:
        """Make a generation, in name."""
        newest = SimpleNamespace(generation=self.last.generation) if self.last else None
        Pruner(
            log=self.log,
            folder=self.files,
            engine=self.engine(fold),
            registry=cast("Any", SimpleNamespace(read=lambda: SimpleNamespace(newest_epoch=newest))),
            store=self.store,
            limits=limits,
            fold=fold,
            clock=SystemClock(),
            rng=np.random.default_rng(),
        )(self.log.read())
        history = self.log.read()
        self.made += 1
        name = f"{self.made:08d}"
        self.manifests[name] = Manifest(
            generation=name,
            created_ms=0,
            trainer="none",
            feedback=fold.feedback,
            features=1,
            objective=_RECIPE.objective,
            fold=fold,
            as_of_ms=0,
            counts=Counts(0, 0, 0, 0, 0, 0),
            input=history.input,
            history=history.number,
            dedupe_from=window_starts(self.rows(), fold),
            files={},
        )
        for outlived in list(self.manifests)[: -self.kept]:
            del self.manifests[outlived]

    def merge(self, engine: Engine | None = None, sizes: Sizes = SIZES) -> None:
        """Merge what is due."""
        FileMerger(
            log=self.log,
            folder=self.files,
            engine=engine or self.engine(),
            store=self.store,
            clock=SystemClock(),
            rng=np.random.default_rng(),
            sizes=sizes,
        )(self.log.read())

    def recover(self) -> None:
        """Do what a run does first."""
        sweep_rows(self.log, self.files, self.log.read(), self.now)

    def on_disk(self) -> set[str]:
        """Return the paths of all files of rows that there are."""
        return {path.relative_to(self.folder).as_posix() for path in (self.folder / "data").rglob("*.parquet")}


def places(rows: Sequence[Mapping[str, Any]]) -> set[tuple[int, int]]:
    """Return partition and offset of rows."""
    return {(row["partition"], row["offset"]) for row in rows}
