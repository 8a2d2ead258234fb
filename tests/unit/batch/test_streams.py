"""What tasks do with sorted rows, however these are cut into batches."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_layer.folding.fold_stream import PAIRS_SCHEMA, fold_stream
from oryx_py.events.fold import FoldSettings
from tests.support.batch import Row, slow_fold

ROWS = pa.schema(
    [
        ("user", pa.string()),
        ("item", pa.string()),
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("strength", pa.float64()),
    ]
)

strengths = st.none() | st.sampled_from([0.0, -0.0, 1.0, 0.1, 0.2, -3.5, 1e30, -1e30]) | st.floats(-1e38, 1e38)
events = st.tuples(
    st.sampled_from(["ann", "anna", "b", "é", "🦉"]), st.sampled_from(["", "a", "b", "z", "ä"]), strengths
)


def rows_of(events: Sequence[tuple[str, str, float | None]]) -> list[dict[str, Any]]:
    """Number events by offset; an empty item can only forget."""
    return [
        {"user": user, "item": item, "partition": 0, "offset": offset, "strength": strength if item else None}
        for offset, (user, item, strength) in enumerate(events)
    ]


def batches(rows: Sequence[Row], schema: pa.Schema, cuts: Sequence[int]) -> list[pa.RecordBatch]:
    """Cut rows into batches, empty ones among them."""
    edges = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    return [
        pa.RecordBatch.from_pylist([dict(row) for row in rows[start:stop]], schema) for start, stop in pairwise(edges)
    ]


def ordered(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row["user"].encode(), row["item"].encode(), row["partition"], row["offset"]))


@pytest.mark.parametrize("feedback", ["implicit", "explicit"])
@settings(deadline=None)
@given(events=st.lists(events, max_size=40), cuts=st.lists(st.integers(0, 40), max_size=6))
def test_folding_in_batches_is_folding_one_by_one(
    feedback: Literal["implicit", "explicit"], events: list[tuple[str, str, float | None]], cuts: list[int]
) -> None:
    """To the bit, and each pair once, in the order of the IDs."""
    rows = rows_of(events)
    folded = fold_stream(batches(ordered(rows), ROWS, cuts), FoldSettings(feedback=feedback))
    found = pa.Table.from_batches(list(folded), PAIRS_SCHEMA).to_pylist()
    wanted = slow_fold(rows, FoldSettings(feedback=feedback))
    assert [(row["user"], row["item"], row["strength"].hex()) for row in found] == [
        (user, item, wanted[user][item].hex())
        for user in sorted(wanted, key=str.encode)
        for item in sorted(wanted[user], key=str.encode)
    ]
