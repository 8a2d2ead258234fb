"""Recursive least squares is the solution of the history given, whatever was kept before."""

import mmap

import numpy as np
import pytest

from oryx_py.numerics.arrays import BoolVector, DoubleVector, FloatMatrix
from oryx_py.numerics.biases import Biases
from oryx_py.numerics.fold_in.dense import Prior, fold_in
from oryx_py.numerics.fold_in.systems import systems_of
from oryx_py.numerics.objective import Objective
from oryx_py.numerics.recursive import changes
from oryx_py.numerics.recursive.kept_systems import BUILT, LEFT, RENEWED, Recursive
from oryx_py.numerics.recursive.kernel import Side, renew
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


def solve(kept: Recursive, model: Model, users: list[int]) -> tuple[FloatMatrix, BoolVector]:
    came = kept.solve(*model.rows(users))
    return came.vectors, came.found


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
        X, solved = solve(kept, model, users)
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
    X, solved = solve(kept, model, [1])
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
    X, solved = solve(kept, model, [1])
    assert solved[0]
    assert relative_error(X[0], model.exact(1)) < 1e-6
    assert kept.states.added[0, 0] < 1e3


def test_many_small_changes_to_a_large_system_are_rounding_too() -> None:
    """What is added is next to nothing, what it is added to is rounded each time, and always in the same direction."""
    steep = np.diag([np.sqrt(4.6e5), 1.0]) @ np.array([[np.cos(0.7), np.sin(0.7)], [-np.sin(0.7), np.cos(0.7)]])
    weak = 2
    model = Model(Objective.mllib_implicit(0.01, 1.0), k=2)
    model.factors = np.vstack([steep, [[1e-5, 0.9e-5]]]).astype(np.float32)
    model.prior = Prior(model.factors.astype(float).T @ model.factors.astype(float), 3, "items")
    kept = Recursive(model.factors, model.prior, model.objective, PLENTY)
    model.known[0] = {0: 5.0, 1: 2.0}
    kept.solve(*model.rows([0]))
    # As if strength 1.4, then 2.8, then none had come so often, and a solution was asked for after each.
    times, (side, turned) = 400_000, _side(kept, model)
    dw, dt = np.tile([1.4, 1.4, -2.8], times), np.tile([2.4, 1.4, -3.8], times)
    steps, ridges = len(dw), np.tile([0.03, 0.03, 0.02], times)
    solved = renew(
        np.zeros(steps, np.int64), np.arange(steps + 1), np.full(steps, weak, np.int32), dw, dt, ridges,
        np.full(steps, turned), side, kept.states, np.empty((steps, 2), np.float32),
    )  # fmt: skip
    assert solved[:100].all()
    assert not solved[-1]
    last = int(np.flatnonzero(solved)[-1])
    assert last < steps // 2
    X, found = solve(kept, model, [0])  # by the same system, with no change: it is built again
    assert found[0]
    assert relative_error(X[0], model.exact(0)) < 2e-7
    assert kept.states.added[0, 0] < 1e7


def test_who_has_changed_too_much_is_not_changed_pair_by_pair() -> None:
    model = Model(objective("mllib_implicit"))
    kept = Recursive(model.factors, model.prior, model.objective, PLENTY)
    for user in (1, 2, 3):
        model.known[user] = dict.fromkeys(range(20), 1.0)
    users = [1, 2, 3]
    kept.solve(*model.rows(users))
    for user, changed in ((1, 4), (2, 5), (3, 5)):
        model.known[user] |= dict.fromkeys(range(changed), 2.0)
    most, may = np.array([4, 4, 4]), np.array([False, False, True])
    came = kept.solve(*model.rows(users), most, may)
    assert came.how.tolist() == [RENEWED, LEFT, BUILT]
    assert came.changed.tolist() == [4, 5, 5]
    assert kept.has(np.array(users)).tolist() == [True, False, True]
    assert not came.vectors[1].any()
    for at in (0, 2):
        assert relative_error(came.vectors[at], model.exact(users[at])) < 1e-6
    again = kept.solve(*model.rows(users), most, np.ones(3, np.bool_))
    assert again.how.tolist() == [RENEWED, BUILT, RENEWED]
    assert again.changed.tolist() == [0, 0, 0]


def test_slots_that_nobody_uses_take_no_memory() -> None:
    """Else short histories first fill all slots, and long ones take as much again when they come."""
    k, limit = 64, 16 << 20
    model = Model(objective("ials"), k=k, rows=15_000)
    kept = Recursive(model.factors, model.prior, model.objective, limit)

    def taken(users: range, pairs: int) -> int:
        """Bytes in pages of the slots that were touched, and in histories."""
        indices = np.arange(pairs)
        for user in users:
            kept.solve(np.array([user]), np.array([0, pairs]), indices, np.ones(pairs))
        return _resident(kept) + 20 * pairs * len(kept)

    assert limit // 2 < taken(range(1, 400), 10) <= limit
    assert limit // 2 < taken(range(400, 460), 15_000) <= limit
    assert len(kept) < 60


def test_bytes_stay_within_their_bound_and_the_longest_unused_goes() -> None:
    model = Model(objective("ials"))
    one = Recursive(model.factors, model.prior, model.objective, PLENTY)._cache.state_bytes
    kept = Recursive(model.factors, model.prior, model.objective, 3 * (one + 20 * 30))
    for step in range(200):
        user = int(model.rng.integers(0, 8))
        model.change(user, 2)
        model.known[user][0] = 1.0
        X, solved = solve(kept, model, [user])
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
    _, solved = solve(kept, model, [0])
    assert (solved.tolist(), kept.nbytes, len(kept)) == ([False], 0, 0)
    assert not kept.fits(np.array([1]))[0]


def test_a_row_without_anything_to_solve_is_left_to_others() -> None:
    model = Model(objective("mllib_implicit"))
    kept = Recursive(model.factors, model.prior, model.objective, PLENTY)
    model.known[2] = {1: 1.0, 4: 2.0}
    assert solve(kept, model, [2])[1].tolist() == [True]
    model.known[2] = {1: -1.0}
    X, solved = solve(kept, model, [2])
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


def _side(kept: Recursive, model: Model) -> tuple[Side, bool]:
    """What the kernel is told of all rows, and of this one."""
    systems = systems_of(*model.rows([0])[1:], model.factors, model.prior, model.objective)
    side = Side(kept._factors, model.prior.gram, model.objective.g, systems.plain, systems.turned, systems.column)
    return side, bool(systems.turn[0])


def _resident(kept: Recursive) -> int:
    """Bytes of the slots' pages that hold anything but zeros."""
    words = mmap.PAGESIZE // 8
    return sum(
        int(table.reshape(-1)[: table.size // words * words].reshape(-1, words).any(axis=1).sum()) * mmap.PAGESIZE
        for table in (kept.states.A, kept.states.P)
    )
