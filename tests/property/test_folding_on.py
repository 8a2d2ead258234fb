"""Folding new rows onto a generation's pairs is folding all rows, to the bit."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_layer.folding.fold_onto import TOLD_SCHEMA, merged
from batch_layer.folding.generation_pairs import Pairs
from oryx_py.events import FoldSettings
from oryx_py.messages import partition_of
from oryx_py.model.generations.csr import Csr
from oryx_py.model.ids.id_table import write_ids
from tests.support.batch import slow_fold

PARTITIONS = 3

_USERS = st.sampled_from(["a", "b", "bb", "c", "é", "z"])
_ITEMS = st.sampled_from(["i", "j", "jj", "k", "ü"])
_STRENGTHS = st.sampled_from([0.1, 0.2, 0.3, -0.6, 1e17, 1.0, -0.0, 0.0]) | st.none()
_ROWS = st.lists(
    st.tuples(_USERS, _ITEMS, _STRENGTHS)
    | st.tuples(_USERS, st.just(""), st.none())
    | st.tuples(st.just(""), _ITEMS, st.none()),
    max_size=25,
)


def log_of(told: Sequence[tuple[str, str, float | None]]) -> list[dict[str, Any]]:
    """Rows of the history: each in its user's partition, a forget of an item in all."""
    ends, rows = [0] * PARTITIONS, []
    for user, item, strength in told:
        for partition in [partition_of(user, PARTITIONS)] if user else range(PARTITIONS):
            row = {"partition": partition, "offset": ends[partition], "user": user, "item": item, "strength": strength}
            rows.append({**row, "id": None, "kafka_ms": 0})
            ends[partition] += 1
    return rows


def write_pairs(folder: Path, pairs: Mapping[str, Mapping[str, float]]) -> Pairs:
    """The files of a generation with these pairs, as far as they are read."""
    users = sorted(pairs, key=str.encode)
    items = sorted({item for known in pairs.values() for item in known}, key=str.encode)
    folder.mkdir()
    write_ids(folder, "users", users)
    write_ids(folder, "items", items)
    entries = [
        (u, items.index(i), s)
        for u, user in enumerate(users)
        for i, s in sorted(pairs[user].items(), key=lambda e: e[0].encode())
    ]
    columns = zip(*entries, strict=True) if entries else ((), (), ())
    user_rows, item_rows, strengths = (np.array(column) for column in columns)
    csr = Csr.from_pairs(user_rows.astype(np.int64), item_rows.astype(np.int64), strengths.astype(float), len(users))
    for name in ("indptr", "indices", "strengths"):
        np.save(folder / f"users.history.{name}.npy", getattr(csr, name))
    return Pairs.open(folder)


def fold_on(
    pairs: Pairs, rows: Sequence[Mapping[str, Any]], parts: int, fold: FoldSettings
) -> dict[str, dict[str, float]]:
    """The pairs after these rows, range by range of users, as tasks do it."""
    forgotten = {(row["partition"], row["item"]): row["offset"] for row in rows if not row["user"]}
    told = [row for row in rows if row["user"] and row["offset"] > forgotten.get((row["partition"], row["item"]), -1)]
    cuts = pairs.cuts(parts)
    bounds = [pairs.user(row) if row < len(pairs.users) else b"\xff" for row in cuts[1:-1].tolist()]
    found: dict[str, dict[str, float]] = {}
    order = []
    for part in range(parts):
        mine = [row for row in told if sum(bound <= row["user"].encode() for bound in bounds) == part]
        new = pa.Table.from_pylist([{name: row[name] for name in TOLD_SCHEMA.names} for row in mine], TOLD_SCHEMA)
        table = merged(pairs, int(cuts[part]), int(cuts[part + 1]), new, forgotten, PARTITIONS, fold)
        for row in table.to_pylist():
            order.append((row["user"].encode(), row["item"].encode()))
            found.setdefault(row["user"], {})[row["item"]] = row["strength"]
    assert order == sorted(set(order))
    return found


def bits(pairs: Mapping[str, Mapping[str, float]]) -> dict[tuple[str, str], bytes]:
    return {(user, item): np.float64(s).tobytes() for user, known in pairs.items() for item, s in known.items()}


@pytest.mark.parametrize("feedback", ["implicit", "explicit"])
def test_folding_on_is_folding_all(feedback: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Twice in a row, wherever the log is cut, in any number of ranges, with deletes and forgets of both kinds."""
    fold = FoldSettings(feedback)

    @settings(deadline=None, max_examples=150)
    @given(_ROWS, st.integers(0, 40), st.integers(0, 40), st.integers(1, 4))
    def law(told: list[tuple[str, str, float | None]], first: int, second: int, parts: int) -> None:
        rows = log_of(told)
        one, two = sorted((first % (len(rows) + 1), second % (len(rows) + 1)))
        known = slow_fold(rows[:one], fold)
        for start, stop in ((one, two), (two, len(rows))):
            if known:  # a generation has a pair
                pairs = write_pairs(tmp_path_factory.mktemp("base") / "g", known)
                known = fold_on(pairs, rows[start:stop], parts, fold)
            else:
                known = slow_fold(rows[:stop], fold)
        assert bits(known) == bits(slow_fold(rows, fold))

    law()
