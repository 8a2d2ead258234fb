"""Compressed sparse rows, against lists of pairs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oryx_py.model.generations.csr import Csr

ROWS, COLUMNS = 6, 70_000

pairs = st.dictionaries(
    st.tuples(st.integers(0, ROWS - 1), st.integers(0, COLUMNS - 1)), st.floats(-1e6, 1e6), max_size=60
).map(lambda found: [(row, column, strength) for (row, column), strength in found.items()])


def csr(found: list[tuple[int, int, float]], count: int = ROWS) -> Csr:
    rows, columns, strengths = zip(*found, strict=True) if found else ((), (), ())
    return Csr.from_pairs(np.array(rows, np.int64), np.array(columns, np.int64), np.array(strengths, np.float64), count)


def as_lists(histories: Csr) -> list[list[tuple[int, float]]]:
    found = [histories.row(row) for row in range(len(histories))]
    return [list(zip(indices.tolist(), strengths.tolist(), strict=True)) for indices, strengths in found]


@given(pairs)
def test_pairs_are_grouped_by_row_in_their_order(found: list[tuple[int, int, float]]) -> None:
    histories = csr(found)
    assert as_lists(histories) == [[(c, s) for r, c, s in found if r == row] for row in range(ROWS)]
    assert histories.pairs == len(found)
    assert (histories.indptr.dtype, histories.indices.dtype, histories.strengths.dtype) == ("i8", "i4", "f8")
    assert histories.fault(COLUMNS) is None


@given(pairs)
def test_transposing_swaps_rows_and_columns(found: list[tuple[int, int, float]]) -> None:
    flipped = csr(found).transposed(COLUMNS)
    assert len(flipped) == COLUMNS
    for column in {column for _, column, _ in found}:
        indices, strengths = flipped.row(column)
        expected = sorted((r, s) for r, c, s in found if c == column)
        assert list(zip(indices.tolist(), strengths.tolist(), strict=True)) == expected
    assert flipped.pairs == len(found)
    assert flipped.ascends()


@given(pairs)
def test_transposed_twice_rows_ascend(found: list[tuple[int, int, float]]) -> None:
    back = csr(found).transposed(COLUMNS).transposed(ROWS)
    assert as_lists(back) == as_lists(csr(sorted(found)))
    assert back.ascends()


@given(st.lists(st.lists(st.integers(0, 3), max_size=4), min_size=1, max_size=6))
def test_ascends_looks_within_rows_alone(rows: list[list[int]]) -> None:
    histories = csr([(row, column, 1.0) for row, columns in enumerate(rows) for column in columns], len(rows))
    assert histories.ascends() == all(columns == sorted(set(columns)) for columns in rows)


@pytest.mark.parametrize(
    ("indptr", "indices", "strengths", "array"),
    [
        ([], [], [], "indptr"),
        ([1, 2], [0, 0], [1, 1], "indptr"),
        ([0, 2, 1, 3], [0, 0, 0], [1, 1, 1], "indptr"),
        ([0, 2], [0], [1], "indptr"),
        ([0, 1], [0], [1, 1], "indptr"),
        ([0, 1], [-1], [1], "indices"),
        ([0, 1], [5], [1], "indices"),
        ([0, 1], [0], [np.nan], "strengths"),
        ([0, 1], [0], [np.inf], "strengths"),
    ],
)
def test_a_fault_names_the_array(indptr: list[int], indices: list[int], strengths: list[float], array: str) -> None:
    histories = Csr(np.array(indptr, np.int64), np.array(indices, np.int32), np.array(strengths, np.float64))
    fault = histories.fault(5)
    assert fault is not None
    assert fault[0] == array


def test_rows_outside_are_refused() -> None:
    for row in (-1, ROWS):
        with pytest.raises(ValueError, match="not all in 0 … 5"):
            csr([(row, 0, 1.0)])
    with pytest.raises(ValueError, match="are no pairs"):
        Csr.from_pairs(np.array([1]), np.array([1, 2]), np.array([1.0]), 3)
