"""Which way a user is solved, and what is counted of it."""

from dataclasses import replace

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from oryx_py.numerics.fold_in.dense import fold_in
from speed_layer.solving.costs import building_us, change_us, descent_us, renewal_us
from speed_layer.solving.counting import Tally
from speed_layer.solving.user_solver import IN_VAIN, MOST_CREDIT, SolverKind, UserSolver, _Choice
from speed_layer.telemetry.metrics import Metrics
from tests.support.ridge import Histories, objective, random_histories, relative_error

PLENTY = 1 << 28
K = 32


def world(lengths: list[int]) -> Histories:
    h = random_histories(np.random.default_rng(4), k=K, lengths=lengths, rows=2_000, turned=True)
    return replace(h, strengths=np.abs(np.nan_to_num(h.strengths)) + 0.5)


def solver(h: Histories, kind: SolverKind, tally: Tally, cache_bytes: int = PLENTY) -> UserSolver:
    return UserSolver(h.factors, h.prior, objective("ials"), kind, cache_bytes, tally)


def exact(h: Histories) -> list[np.ndarray]:
    return [fold_in(*h.row(row), h.prior, objective("ials")) for row in range(len(h.indptr) - 1)]


@pytest.mark.parametrize("kind", ["auto", "rls", "cg", "dense"])
def test_all_ways_give_the_same_vectors_and_say_who_gave_them(kind: SolverKind) -> None:
    h, tally = world([30, 0, 300, 1]), Tally()
    users, chosen = np.array([7, 3, 11, 0]), solver(h, kind, tally)
    for _ in range(3):
        X = chosen.solve(users, h.indptr, h.indices, h.strengths)
        assert X.dtype == np.float32
        for vector, x in zip(X, exact(h), strict=True):
            assert relative_error(vector, x) < 2e-6
    if kind == "dense":
        assert tally.solves == {"dense": 12}
    elif kind == "rls":
        assert tally.solves["rls"] == 9
        assert (tally.hits, tally.misses) == (6, 3)
    elif kind == "cg":
        assert tally.solves["cg"] + tally.solves["dense"] == 9  # the empty one needs nobody


def test_a_system_is_kept_for_those_who_have_paid_for_it() -> None:
    """Until then they are solved by conjugate gradients; a short history never pays."""
    h, tally = world([1500, 4]), Tally()
    users, chosen, pairs = np.array([0, 1]), solver(h, "auto", tally), np.array([1500])
    saved = float((descent_us(pairs, K) - renewal_us(pairs, K))[0])
    first = int(np.ceil(building_us(pairs, K)[0] / saved - 1e-6))
    assert first > 1
    for step in range(1, first + 4):
        chosen.solve(users, h.indptr, h.indices, h.strengths)
        assert tally.solves.get("rls", 0) == max(0, step - first + 1), step
    assert (tally.hits, tally.misses) == (3, 1)
    assert float(descent_us(pairs, K)[0]) > 2 * float(renewal_us(pairs, K)[0])
    few = np.array([4])
    assert descent_us(few, K)[0] < renewal_us(few, K)[0]


def test_without_room_everybody_is_solved_without() -> None:
    h, tally = world([1500]), Tally()
    chosen = solver(h, "rls", tally, cache_bytes=1000)
    X = chosen.solve(np.array([0]), h.indptr, h.indices, h.strengths)
    assert relative_error(X[0], exact(h)[0]) < 2e-6
    assert "rls" not in tally.solves
    assert (tally.hits, tally.misses) == (0, 0)


def test_who_cannot_be_solved_so_is_not_tried_again_at_once() -> None:
    """λ = 0 and fewer pairs than features: singular; the dense way has the solution of least norm."""
    h, tally = world([5]), Tally()
    chosen = UserSolver(h.factors, h.prior, objective("mllib_explicit", 0.0), "auto", PLENTY, tally)
    chosen._credit = np.full(1, 1e9, np.float32)

    def of_credit(users: np.ndarray, pairs: np.ndarray) -> _Choice:
        some = chosen._credit[users] > 0
        return _Choice(some, some, np.ones(len(users)))

    chosen._choose = of_credit  # type: ignore[method-assign]
    for _ in range(2):
        X = chosen.solve(np.array([0]), h.indptr, h.indices, h.strengths)
        least = np.linalg.pinv(h.factors[h.indices].astype(float)) @ h.strengths
        assert relative_error(X[0], least) < 1e-5
    assert chosen._credit[0] == pytest.approx(-IN_VAIN * building_us(np.array([5]), K)[0])
    assert tally.solves == {"rls": 0, "cg": 0, "dense": 2}


def kept_user(pairs: int, tally: Tally, visits: int = 60) -> tuple[Histories, UserSolver]:
    """A user whose system is kept, with all the credit there is."""
    h = world([pairs])
    chosen = solver(h, "auto", tally)
    for visit in range(visits):
        h.strengths[visit] += 1
        chosen.solve(np.array([0]), h.indptr, h.indices, h.strengths)
    built = building_us(np.array([pairs]), K)[0]
    assert chosen._credit[0] == pytest.approx(MOST_CREDIT * built)
    return h, chosen


def test_who_could_not_be_solved_so_once_is_later() -> None:
    """One strength beyond all measure, which is taken back."""
    tally = Tally()
    h, chosen = kept_user(1500, tally)
    usual, h.strengths[0] = h.strengths[0], 1e18
    chosen.solve(np.array([0]), h.indptr, h.indices, h.strengths)
    assert chosen._credit[0] < 0
    h.strengths[0], before = usual, tally.solves["rls"]
    for visit in range(100):
        h.strengths[visit] += 1
        X = chosen.solve(np.array([0]), h.indptr, h.indices, h.strengths)
        assert relative_error(X[0], exact(h)[0]) < 2e-6
    assert tally.solves["rls"] > before + 20


def test_a_great_change_is_paid_from_what_was_saved_and_no_more() -> None:
    """Nothing but great changes: no way by systems costs more than conjugate gradients alone, and twice building."""
    tally = Tally()
    h, chosen = kept_user(1500, tally)
    rng, length = np.random.default_rng(1), np.array([1500])
    spent, steps = 0.0, 40
    for _ in range(steps):
        h.strengths[:] = rng.choice([1.0, 2.0, 3.0], len(h.strengths))
        before = chosen._credit[0]
        X = chosen.solve(np.array([0]), h.indptr, h.indices, h.strengths)
        assert relative_error(X[0], exact(h)[0]) < 2e-6
        spent += float(before - chosen._credit[0])
    assert spent <= (MOST_CREDIT + 1) * float(building_us(length, K)[0])
    assert change_us(K) * 900 > 3 * float(descent_us(length, K)[0])  # two pairs of three change: what that would cost
    assert tally.solves["cg"] > steps / 2


def test_the_metrics_have_the_names_of_the_documentation() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    metrics.solved("rls", 3)
    metrics.looked_up(2, 1)
    metrics.gauges.layer().state_bytes = 5
    assert registry.get_sample_value("oryx_speed_solves_total", {"solver": "rls"}) == 3
    assert registry.get_sample_value("oryx_speed_solves_total", {"solver": "cg"}) == 0
    assert registry.get_sample_value("oryx_speed_cache_hits_total") == 2
    assert registry.get_sample_value("oryx_speed_cache_misses_total") == 1
    assert registry.get_sample_value("oryx_speed_state_bytes") == 5
