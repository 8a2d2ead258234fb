"""In Spark: folding on from generation to generation gives the files that folding everything gives, byte for byte."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from batch_layer.folding.input_rows import HISTORY_SCHEMA
from batch_layer.history.base_generation import Base
from batch_layer.recipe import recipe_of
from batch_layer.spark.preparing import prepare
from batch_layer.spark.preparing.rows_to_fold import count
from batch_layer.spark.rows.counted_rows import Counted
from oryx_py.config import Input, Model
from oryx_py.events import FoldSettings, KindSettings
from oryx_py.messages import partition_of
from oryx_py.model.generations.manifest import Counts, Manifest

pytestmark = [pytest.mark.spark, pytest.mark.xdist_group("spark")]

PARTITIONS, COMMITS, ROWS = 3, 3, 1_500
KINDS = {"view": KindSettings(weight=0.5)}
SETTINGS = {
    "implicit": FoldSettings("implicit", dedupe_window_s=0.7, dedupe_records=90, kinds=KINDS, zero_threshold=0.08),
    "explicit": FoldSettings("explicit"),
}


def commits_of(rng: np.random.Generator) -> list[list[dict[str, Any]]]:
    """Logs in which everything happens: repeats across commits, deletes, forgets, times that go back, new IDs."""
    ends, commits = [7] * PARTITIONS, []
    for commit in range(COMMITS):
        rows = []
        for number in range(ROWS):
            user, item = f"u{rng.zipf(1.3) % (40 + 20 * commit)}", f"i{rng.integers(30 + 10 * commit)}é"
            strength: float | None = float(rng.choice([0.1, 0.2, 1.0, -0.5]))
            draw = rng.random()
            if draw < 0.05:
                strength = None
            elif draw < 0.06:
                item, strength = "", None
            elif draw < 0.063:
                user, strength = "", None
            key = b"%d" % rng.integers(60) if rng.random() < 0.5 else None
            now = commit * ROWS + number - int(rng.integers(300) if rng.random() < 0.02 else 0)
            for partition in [partition_of(user, PARTITIONS)] if user else range(PARTITIONS):
                kind = "view" if rng.random() < 0.3 else None
                rows.append((partition, ends[partition], now, key, user, item, strength, None, kind))
                ends[partition] += 1
        commits.append([dict(zip(HISTORY_SCHEMA.names, row, strict=True)) for row in rows])
    return commits


def written(path: Path, rows: Sequence[dict[str, Any]]) -> str:
    pq.write_table(pa.Table.from_pylist(list(rows), HISTORY_SCHEMA), path)
    return path.as_uri()


def manifest_of(counted: Counted, rows: Sequence[dict[str, Any]], fold: FoldSettings, commit: int) -> Manifest:
    """What a generation says of itself, as far as it is used."""
    ends = {p: max(row["offset"] for row in rows if row["partition"] == p) + 1 for p in range(PARTITIONS)}
    return Manifest(
        generation=f"g{commit}",
        created_ms=0,
        trainer="none",
        feedback=fold.feedback,
        features=1,
        objective=recipe_of(Model(feedback=fold.feedback), "ials", Input()).objective,
        fold=fold,
        as_of_ms=counted.as_of_ms,
        counts=Counts(0, 0, 0, 0, 0, counted.repeats),
        input={partition: (7, end) for partition, end in ends.items()},
        history=commit,
        dedupe_from=dict(counted.dedupe_from),
        files={},
    )


@pytest.mark.parametrize("feedback", ["implicit", "explicit"])
def test_generation_after_generation_the_files_are_those_of_all_rows(
    feedback: str, spark: SparkSession, tmp_path: Path
) -> None:
    fold = SETTINGS[feedback]
    commits = commits_of(np.random.default_rng(5))
    files = [written(tmp_path / f"{number}.parquet", rows) for number, rows in enumerate(commits)]

    def made(name: str, upto: int, base: Base | None, parts: int) -> Counted:
        into, work = tmp_path / name, tmp_path / f"{name}.work"
        into.mkdir(), work.mkdir()
        with ExitStack() as kept:
            counted = count(spark, files[:upto], base, fold, kept)
            assert prepare(spark, counted.rows, fold, into, work, parts=parts, base=base) is not None
        return counted

    first = made("on1", 1, None, 2)
    manifest = manifest_of(first, commits[0], fold, 1)
    for upto in range(2, COMMITS + 1):
        base = Base(
            path=tmp_path / f"on{upto - 1}",
            manifest=manifest,
            new=(files[upto - 1],),
            new_rows=len(commits[upto - 1]),
            window=tuple(files[: upto - 1]),
        )
        on, all_ = made(f"on{upto}", upto, base, parts=1 + upto), made(f"all{upto}", upto, None, parts=2)
        assert (on.as_of_ms, on.repeats, on.dedupe_from) == (all_.as_of_ms, all_.repeats, all_.dedupe_from)
        names = sorted(path.name for path in (tmp_path / f"all{upto}").iterdir())
        assert names == sorted(path.name for path in (tmp_path / f"on{upto}").iterdir())
        for name in names:
            assert (tmp_path / f"on{upto}" / name).read_bytes() == (tmp_path / f"all{upto}" / name).read_bytes(), name
        manifest = manifest_of(on, [row for rows in commits[:upto] for row in rows], fold, upto)
    if fold.dedupes:
        assert manifest.counts.repeats > first.repeats > 0
