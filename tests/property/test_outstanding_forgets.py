"""Whatever came in, was imported, dropped or made before: a run carries out all forgets that count, and no others."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from oryx_py.events import FoldSettings
from tests.support.batch import left_of, repeats_among
from tests.support.histories import HistoryWorld

FOLDS = [
    FoldSettings("implicit", dedupe_window_s=0.004, dedupe_records=4),
    FoldSettings("implicit", dedupe_window_s=0.02, dedupe_records=9),
    FoldSettings("implicit", dedupe_window_s=0.0),
]


def without_forgotten(rows: Sequence[Mapping[str, Any]], fold: FoldSettings) -> list[Any]:
    """What all forgets that count, of all rows, leave of these."""
    ignored = repeats_among(rows, fold)
    forgets = [row for row in rows if not (row["user"] and row["item"])]
    counting = [row for row in forgets if (row["partition"], row["offset"]) not in ignored]
    return [left for row in rows if (left := left_of(row, counting, fold)) is not None]


def row_of(rng: random.Random) -> Any:
    draw, user, item = rng.random(), rng.choice("abc"), rng.choice("abc")
    told = (user, item, 1.0) if draw < 0.6 else (user, "", None) if draw < 0.8 else ("", item, None)
    return told, rng.choice([None, b"1", b"2"]), rng.choice([-9, 0, 1, 2, 3])


@pytest.mark.parametrize("seed", range(4))
def test_a_run_leaves_what_all_rows_leave(seed: int, tmp_path: Path) -> None:
    """Logs are drawn here and not by Hypothesis, whose small ones have forgets that matter too seldom."""
    rng, counted = random.Random(seed), Counter[str]()
    for case in range(30):
        world = HistoryWorld(tmp_path / f"{case}")
        for kind in [*rng.choices(["input", "input", "import", "drop", "generation", "generation"], k=8), "generation"]:
            if kind == "drop":
                world.drop()
            elif kind == "generation":
                fold, rows = rng.choice([FOLDS[0], *FOLDS]), world.rows()
                wanted = without_forgotten(rows, fold)
                world.prune(fold)
                assert world.rows() == wanted
                counted["changed" if wanted != rows else "the same"] += 1
            else:
                world.add(kind, [row_of(rng) for _ in range(rng.randint(1, 6))])
    assert min(counted.values()) > 10
