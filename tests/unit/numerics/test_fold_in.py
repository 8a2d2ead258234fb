"""The dense fold-in and its prior."""

import numpy as np
import pytest

from oryx_py.numerics.fold_in.dense import Prior, fold_in
from oryx_py.numerics.gram import gram
from oryx_py.numerics.objective import Objective


def test_without_anything_positive_the_vector_is_0() -> None:
    factors = np.eye(3, dtype=np.float32)
    prior, implicit = Prior(gram(factors), 3), Objective.mllib_implicit(0.1, 1.0)
    assert fold_in(np.empty(0), factors[:0], prior, implicit).tolist() == [0, 0, 0]
    assert fold_in(np.array([-1.0, 0.0, np.nan]), factors, prior, implicit).tolist() == [0, 0, 0]


def test_two_unit_vectors_by_hand() -> None:
    """A = diag(1 + w + λn, 1 + λn) and b = (1 + w, 0) with w = α s = 4, n = 1, λ = 0.5."""
    factors = np.eye(2, dtype=np.float32)
    x = fold_in(np.array([2.0]), factors[:1], Prior(gram(factors), 2), Objective.mllib_implicit(0.5, 2.0))
    assert x == pytest.approx([5 / 5.5, 0])


def test_a_singular_system_gives_the_solution_of_least_norm() -> None:
    """Two equal items and no regularisation: any (a, b) with a + b = 1 fits; the shortest shares equally."""
    vectors = np.ones((1, 2), dtype=np.float32)
    x = fold_in(np.array([1.0]), vectors, Prior(gram(vectors), 1), Objective.mllib_explicit(0.0))
    assert x == pytest.approx([0.5, 0.5])


def test_a_prior_keeps_its_own_copy() -> None:
    G = np.eye(2)
    prior = Prior(G, 5)
    G[0, 0] = 7
    assert prior.gram[0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        prior.gram[0, 0] = 7


@pytest.mark.parametrize(
    ("wrong", "rows"), [(np.zeros((2, 3)), 1), (np.zeros(4), 1), (np.full((2, 2), np.nan), 1), (np.eye(2), -1)]
)
def test_a_prior_that_cannot_be_is_refused(wrong: np.ndarray, rows: int) -> None:
    with pytest.raises(ValueError, match=r"Gram|rows"):
        Prior(wrong, rows)
