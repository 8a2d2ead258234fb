"""Recursive least squares is the solution of the history given, whatever was kept before."""

import numpy as np
import pytest

from oryx_py.numerics.arrays import DoubleVector
from oryx_py.numerics.biases import Biases
from oryx_py.numerics.fold_in.dense import Prior, fold_in
from oryx_py.numerics.objective import Objective
from oryx_py.numerics.recursive import changes
from oryx_py.numerics.recursive.kept_systems import Recursive
from tests.support.ridge import CONSTANTS, objective, random_histories, relative_error

PLENTY = 1 << 30
STRENGTHS = [1.0, 2.0, 5.0, 0.25, -1.0, -3.0, 0.0, np.nan, 1e-6, 300.0]


class Model:
    """Histories as dictionaries, and the slow way to solve them."""

    def __init__(self, chosen: Objective, k: int = 12, rows: int = 80, turned: bool = True, seed: int = 1) -> None:
        self.rng = np.random.default_rng(seed)
        h = random_histories(self.rng, k=k, lengths=[1], rows=rows, turned=turned)
        factors = h.factors.copy()
        if chosen.biases is not None:
            factors[:, chosen.biases.user] = 1
        self.factors = factors
        gram = factors.astype(np.float64).T @ factors.astype(np.float64)
        self.prior, self.objective = Prior(gram, rows, "items"), chosen
        self.known: dict[int, dict[int, float]] = {}

    def change(self, user: int, pairs: int = 1) -> None:
        history = self.known.setdefault(user, {})
        for _ in range(pairs):
            history[int(self.rng.integers(len(self.factors)))] = float(self.rng.choice(STRENGTHS))

    def rows(self, users: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray, DoubleVector]:
        """In no order, as histories may come."""
        lists = [list(self.known.get(user, {}).items()) for user in users]
        for pairs in lists:
            self.rng.shuffle(pairs)
        indptr = np.concatenate([[0], np.cumsum([len(pairs) for pairs in lists])]).astype(np.int64)
        flat = [pair for pairs in lists for pair in pairs]
        items = np.array([item for item, _ in flat], np.int64)
        return np.array(users, np.int64), indptr, items, np.array([s for _, s in flat], np.float64)

    def exact(self, user: int) -> DoubleVector:
        pairs = self.known.get(user, {})
        strengths = np.array(list(pairs.values()), np.float64)
        return fold_in(strengths, self.factors[list(pairs)], self.prior, self.objective)


BIASED = Objective.biased_explicit(0.03, Biases.last(12, 0.4))


@pytest.mark.parametrize("name", [*sorted(CONSTANTS), "biased"])
@pytest.mark.parametrize("turned", [True, False], ids=["eigenbasis", "any-basis"])
def test_every_step_is_the_dense_solution(name: str, turned: bool) -> None:
    model = Model(BIASED if name == "biased" else objective(name), turned=turned)
    kept = Recursive(model.factors, model.prior, model.objective, PLENTY)
    solutions = hits = 0
    for _ in range(300):
        users = sorted(set(model.rng.integers(0, 6, 3).tolist()))
        for user in users:
            model.change(user, int(model.rng.integers(0, 3)))
        hits += int(kept.has(np.array(users)).sum())
        X, solved = kept.solve(*model.rows(users))
        for vector, done, user in zip(X, solved, users, strict=True):
            exact = model.exact(user)
            if done:
                solutions += 1
                assert relative_error(vector, exact) < 2e-6
            else:
                assert not exact[: model.factors.shape[1] - 2].any()  # nothing to solve, but for biases' columns
    assert solutions > 500
    assert hits > 500


@pytest.mark.parametrize("huge", [1e3, 1e9, 1e15])
def test_what_was_huge_and_is_gone_leaves_nothing_behind(huge: float) -> None:
    model = Model(objective("mllib_implicit"))
    kept = Recursive(model.factors, model.prior, model.objective, PLENTY)
    model.known[1] = {3: 1.0, 5: 2.0}
    kept.solve(*model.rows([1]))
    model.known[1][7] = huge
    kept.solve(*model.rows([1]))
    del model.known[1][7]
    X, solved = kept.solve(*model.rows([1]))
    assert solved[0]
    assert relative_error(X[0], model.exact(1)) < 1e-6


def test_a_system_to_which_more_was_added_than_float64_keeps_apart_is_built_again() -> None:
    """What rounding leaves in A would never show in a residual against A itself."""
    model = Model(objective("mllib_implicit"))
    kept = Recursive(model.factors, model.prior, model.objective, PLENTY)
    model.known[1] = {3: 1.0, 5: 2.0}
    kept.solve(*model.rows([1]))
    kept.states.A[0] += 1e-4 * np.eye(12)  # as if by rounding
    kept.states.added[0, 0] = 1e14
    X, solved = kept.solve(*model.rows([1]))
    assert solved[0]
    assert relative_error(X[0], model.exact(1)) < 1e-6
    assert kept.states.added[0, 0] < 1e3


def test_bytes_stay_within_their_bound_and_the_longest_unused_goes() -> None:
    model = Model(objective("ials"))
    one = Recursive(model.factors, model.prior, model.objective, PLENTY).state_bytes
    kept = Recursive(model.factors, model.prior, model.objective, 3 * (one + 20 * 30))
    for step in range(200):
        user = int(model.rng.integers(0, 8))
        model.change(user, 2)
        model.known[user][0] = 1.0
        X, solved = kept.solve(*model.rows([user]))
        assert solved[0]
        assert relative_error(X[0], model.exact(user)) < 2e-6
        assert kept.has(np.array([user]))[0]
        assert kept.nbytes - kept._places.nbytes <= 3 * (one + 20 * 30), step
    assert 2 <= len(kept) <= 3
    for user in (0, 1):
        kept.solve(*model.rows([user]))
    kept.solve(*model.rows([0]))
    for user in (2, 3, 0, 4, 0, 5):
        kept.solve(*model.rows([user]))
    assert kept.has(np.array([0, 5, 2])).tolist() == [True, True, False]


def test_without_room_for_one_system_nothing_is_kept() -> None:
    model = Model(objective("ials"))
    model.known[0] = {1: 1.0}
    kept = Recursive(model.factors, model.prior, model.objective, 100)
    _, solved = kept.solve(*model.rows([0]))
    assert (solved.tolist(), kept.nbytes, len(kept)) == ([False], 0, 0)
    assert not kept.fits(np.array([1]))[0]


def test_a_row_without_anything_to_solve_is_left_to_others() -> None:
    model = Model(objective("mllib_implicit"))
    kept = Recursive(model.factors, model.prior, model.objective, PLENTY)
    model.known[2] = {1: 1.0, 4: 2.0}
    assert kept.solve(*model.rows([2]))[1].tolist() == [True]
    model.known[2] = {1: -1.0}
    X, solved = kept.solve(*model.rows([2]))
    assert (solved.tolist(), X.any()) == ([False], False)
    assert len(kept) == 0


def test_changes_are_found_in_any_order() -> None:
    found, rows = np.empty(3, np.int64), np.empty(9, np.int32)
    dw, dt, places = np.empty(9), np.empty(9), np.full(10, -1, np.int32)
    changes.differences(
        np.array([0, 3, 4]), np.array([4, 2, 7, 9], np.int32), np.array([1.0, 2, 3, 1]), np.array([1.0, 0, 5, 1]),
        np.array([0, 3, 4]), np.array([2, 4, 5, 9], np.int32), np.array([2.0, 1, 6, 1]), np.array([0.0, 3, 8, 1]),
        places, found, rows, dw, dt,
    )  # fmt: skip
    assert found.tolist() == [0, 3, 3]
    found_changes = sorted(zip(rows[:3].tolist(), dw[:3].tolist(), dt[:3].tolist(), strict=True))
    assert found_changes == [(4, 0.0, -2.0), (5, -6.0, -8.0), (7, 3.0, 5.0)]
    assert (places == -1).all()
