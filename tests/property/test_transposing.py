"""Compressed rows become compressed columns, whatever the threads and ranges."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oryx_py.numerics.pairs.transposing import column_counts, transpose_into

PAIRS = st.sets(st.tuples(st.integers(0, 6), st.integers(0, 9)), max_size=40)


def compressed(pairs, rows):
    """Rows from sorted pairs, in plain loops; strengths tell the pairs apart."""
    pairs = sorted(pairs)
    indptr = np.cumsum([0, *(sum(row == r for row, _ in pairs) for r in range(rows))])
    return indptr, np.array([c for _, c in pairs], np.int32), np.array([100.0 * r + c for r, c in pairs])


@settings(deadline=None, max_examples=50)
@given(pairs=PAIRS, threads=st.integers(1, 3), range_bytes=st.sampled_from([1, 36, 1 << 20]))
def test_columns_have_their_rows_ascending(pairs, threads, range_bytes):
    indptr, indices, strengths = compressed(pairs, 7)
    starts = np.concatenate([[0], np.cumsum(column_counts(indices, 10, threads=threads))])
    transposed = starts, np.full(len(pairs), -1, np.int32), np.full(len(pairs), np.nan)
    transpose_into(indptr, indices, strengths, transposed, threads=threads, range_bytes=range_bytes)
    wanted = sorted((column, row) for row, column in pairs)
    assert starts.tolist() == [sum(column < c for column, _ in wanted) for c in range(11)]
    assert transposed[1].tolist() == [row for _, row in wanted]
    assert transposed[2].tolist() == [100.0 * row + column for column, row in wanted]


@pytest.mark.parametrize("threads", [1, 2])
def test_many_pairs_of_few_popular_columns(threads):
    rng = np.random.default_rng(4)
    table = rng.random((300, 200)) < rng.beta(0.3, 3, 200)
    rows, columns = np.nonzero(table)
    strengths = rng.normal(size=len(rows))
    indptr = np.concatenate([[0], np.cumsum(table.sum(axis=1))])
    starts = np.concatenate([[0], np.cumsum(column_counts(columns.astype(np.int32), 200, threads=threads))])
    found = starts, np.empty(len(rows), np.int32), np.empty(len(rows))
    transpose_into(indptr, columns.astype(np.int32), strengths, found, threads=threads, range_bytes=5_000)
    order = np.lexsort((rows, columns))
    np.testing.assert_array_equal(found[1], rows[order])
    np.testing.assert_array_equal(found[2], strengths[order])
