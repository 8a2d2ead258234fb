"""A table that gets longer stops for no copy of all that it has, and has the same vectors all along."""

import numpy as np
import pytest

from oryx_py.model.state.growing_rows import AHEAD, GrowingRows
from oryx_py.model.state.vectors import VectorTable

BASE = 700


def a_vector(of: int) -> np.ndarray:
    return np.array([of, of + 0.5, -of], np.float32)


def test_no_vector_that_comes_has_more_than_some_rows_copied() -> None:
    table = VectorTable(np.zeros((BASE, 3), np.float32))
    handles = np.random.default_rng(1).permutation(3 * BASE).tolist()
    for handle in handles:
        before = table.rows_copied
        table.set(handle, a_vector(handle))
        assert table.rows_copied - before <= AHEAD
    assert len(table.delta_handles) == 3 * BASE


@pytest.mark.parametrize("first", [1, 8, 9, 500, 701])
def test_none_that_comes_after_many_at_once_has_either(first: int) -> None:
    table = VectorTable(np.zeros((BASE, 3), np.float32))
    table.set_many(np.arange(first), np.ones((first, 3), np.float32))
    for handle in range(first, 2 * BASE):
        before = table.rows_copied
        table.set(handle, a_vector(handle))
        assert table.rows_copied - before <= AHEAD


def test_many_that_come_together_have_no_more_copied_each() -> None:
    rng = np.random.default_rng(2)
    table, first = VectorTable(np.zeros((BASE, 3), np.float32)), 0
    while first < 20 * BASE:
        count, before = int(rng.integers(1, 400)), table.rows_copied
        table.set_many(np.arange(first, first + count), np.ones((count, 3), np.float32))
        assert table.rows_copied - before <= AHEAD * count
        first += count


def test_it_has_what_was_set_last_while_it_gets_longer() -> None:
    rng = np.random.default_rng(3)
    base = rng.normal(size=(BASE, 3)).astype(np.float32)
    table, expected = VectorTable(base), dict(enumerate(base.tolist()))
    reach = 1
    for step in range(6000):
        reach = min(reach + int(rng.integers(0, 3)), 3 * BASE)
        match int(rng.integers(0, 10)):
            case 0:
                handle = int(rng.integers(0, reach))
                table.set(handle, None)
                expected.pop(handle, None)
            case 1:
                handles = rng.permutation(reach)[: int(rng.integers(0, 9))]
                vectors = rng.normal(size=(len(handles), 3)).astype(np.float32)
                table.set_many(handles, vectors)
                expected.update(zip(handles.tolist(), vectors.tolist(), strict=True))
            case _:
                handle = int(rng.integers(0, reach))
                table.set(handle, a_vector(step))
                expected[handle] = a_vector(step).tolist()
        if step % 50 == 0:
            assert_has(table, expected)
    assert_has(table, expected)
    copy = VectorTable(base)
    copy.load(table.dump())
    assert_has(copy, expected)
    copy.set(3 * BASE, a_vector(1))
    assert_has(copy, expected | {3 * BASE: a_vector(1).tolist()})


def assert_has(table: VectorTable, expected: dict[int, list[float]]) -> None:
    handles = np.arange(3 * BASE + 2)
    assert table.has(handles).tolist() == [handle in expected for handle in handles.tolist()]
    assert table.gather(handles).tolist() == [expected.get(handle, [0, 0, 0]) for handle in handles.tolist()]
    assert len(set(table.delta_handles.tolist())) == len(table.delta_handles)
    assert table.delta_matrix.tolist() == table.gather(table.delta_handles).tolist()
    assert table.delta_present.tolist() == table.has(table.delta_handles).tolist()


def test_who_reads_on_keeps_the_rows_that_it_began_with() -> None:
    rows = GrowingRows(np.zeros(4))
    (present,) = rows.arrays
    present[:] = 1
    assert rows.reach(4, 5)
    rows.arrays[0][:] = 2
    assert present.tolist() == [1, 1, 1, 1]
