"""Where rows lie in memory is a matter of time alone."""

import numpy as np
import pytest

from oryx_py.numerics.als import observed
from oryx_py.numerics.als.phases import Block, improved, turn_of
from oryx_py.numerics.compiled.aligned import aligned
from oryx_py.numerics.gram import gram
from oryx_py.numerics.objective import Objective


@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (1000, 64), (100_000, 16)])
def test_arrays_begin_with_a_line(shape: tuple[int, int]) -> None:
    found = aligned(*shape)
    assert found.ctypes.data % 64 == 0
    assert (found.shape, found.dtype) == (shape, np.float32)
    found[...] = 1.0  # all of it is there
    assert found.sum() == found.size


def test_there_may_be_no_rows() -> None:
    assert aligned(0, 4).shape == (0, 4)


@pytest.mark.parametrize("features", [1, 16, 40, 64])
@pytest.mark.parametrize("users", [2, 90])  # fewer pairs than are asked for ahead, and more
def test_rows_come_to_the_same_bits_wherever_the_fixed_side_begins(features: int, users: int) -> None:
    rng = np.random.default_rng(features)
    pairs = np.nonzero(rng.random((users, 50)) < 0.3)
    objective = Objective.ials(alpha0=0.1, lambda_=0.02, nu=1.0)
    side, _ = observed(*pairs, np.ones(len(pairs[0])), (users, 50), objective)
    fixed, rows = (rng.normal(size=(n, features)).astype(np.float32) for n in (50, users))
    turn = turn_of(gram(fixed), objective, "items")
    found = []
    for shift in (0, 1, 4):
        memory = aligned(1, fixed.size + shift)[0, shift:]
        memory[...] = fixed.ravel()
        found.append(improved(side, rows, memory.reshape(fixed.shape), Block(0, users), turn)[0])
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])
