"""What tasks do with sorted rows, however these are cut into batches."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_layer.streams import PAIRS_SCHEMA, VECTORS_SCHEMA, fold_stream, solve_stream
from oryx_py.events.fold import FoldSettings
from oryx_py.numerics.cg import fold_in_many
from oryx_py.numerics.fold_in import Prior
from oryx_py.numerics.gram import gram
from oryx_py.numerics.objective import Objective
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


PAIRS = pa.schema([("user", pa.int32()), ("item", pa.int32()), ("strength", pa.float64())])


@settings(deadline=None)
@given(
    pairs=st.dictionaries(
        st.tuples(st.integers(0, 6), st.integers(0, 9)), st.sampled_from([1.0, 2.5, 0.0, -1.0]), max_size=40
    ),
    cuts=st.lists(st.integers(0, 40), max_size=6),
)
def test_a_user_cut_by_a_batch_is_solved_whole(pairs: dict[tuple[int, int], float], cuts: list[int]) -> None:
    factors = np.random.default_rng(3).normal(size=(10, 4)).astype(np.float32)
    prior, objective = Prior(gram(factors), 10), Objective.mllib_implicit(lambda_=0.1, alpha=1.0)
    rows = [{"user": user, "item": item, "strength": s} for (user, item), s in sorted(pairs.items())]
    solved = pa.Table.from_batches(
        list(solve_stream(batches(rows, PAIRS, cuts), factors, prior, objective)), VECTORS_SCHEMA
    ).to_pylist()
    users = sorted({user for user, _ in pairs})
    assert [row["user"] for row in solved] == users
    for row in solved:
        mine = sorted((item, s) for (user, item), s in pairs.items() if user == row["user"])
        alone = fold_in_many(
            np.array([0, len(mine)]),
            np.array([item for item, _ in mine]),
            np.array([s for _, s in mine]),
            factors,
            prior,
            objective,
        )
        np.testing.assert_array_equal(np.array(row["vector"], np.float32), alone[0])
