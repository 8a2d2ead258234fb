"""Oryx's fold-in rule by worked examples: numbers worked out by hand, and some of those in Oryx's own tests."""

import math

import numpy as np
import pytest

from oryx_py.errors import NearSingular
from oryx_py.numerics.fold_in.oryx_rule import Feedback, Solver, apparent_rank, fold_in_order, scaled, target, updated
from oryx_py.numerics.objective import Objective

ROWS = np.array([[1.0, 2.0], [3.0, 0.0], [0.0, 1.0]], np.float32)
"""YᵀY = [[10, 2], [2, 5]], whose inverse is [[5, −2], [−2, 10]] / 46."""
Y = np.array([2.0, 1.0], np.float32)
"""(YᵀY)⁻¹ y = [8, 6] / 46."""
STEP = np.array([8.0, 6.0]) / 46


def solver() -> Solver:
    return Solver.of((ROWS.T @ ROWS).astype(np.float64))


@pytest.mark.parametrize(
    ("strength", "current", "expected"),
    [
        pytest.param(1.0, 0.5, 0.75, id="half-way to 1"),
        pytest.param(3.0, 0.5, 0.875, id="a stronger one goes three quarters of the way"),
        pytest.param(1.0, -1.0, -0.5, id="from below 0 the step is that from 0"),
        pytest.param(-1.0, 0.5, 0.25, id="half-way to 0"),
        pytest.param(-3.0, 0.8, 0.2, id="a stronger negative one"),
        pytest.param(-1.0, 3.0, 2.5, id="from above 1 the step is that from 1"),
        pytest.param(0.5, 1.0, None, id="positive at 1"),
        pytest.param(0.5, 1.5, None, id="positive above 1"),
        pytest.param(-0.5, 0.0, None, id="negative at 0"),
        pytest.param(-0.5, -0.1, None, id="negative below 0"),
        pytest.param(0.0, 0.5, None, id="zero strength"),
        pytest.param(math.nan, 0.5, None, id="no strength"),
    ],
)
def test_implicit_target(strength: float, current: float, expected: float | None) -> None:
    """The target lies between the estimate and 1 (positive) or 0 (negative), by v/(1+v)."""
    assert target(strength, current, "implicit") == (None if expected is None else pytest.approx(expected, rel=1e-15))


@pytest.mark.parametrize("strength", [-1.0, 0.0, 0.5, 1.0, 2.0])
def test_explicit_target_is_the_rating(strength: float) -> None:
    """A rating is the estimate that should come out, 0 and negative ones too."""
    assert target(strength, 0.3, "explicit") == strength
    assert target(math.nan, 0.3, "explicit") is None


@pytest.mark.parametrize(
    ("feedback", "vector", "strength", "expected"),
    [
        pytest.param("implicit", None, 1.0, 0.75 * STEP, id="new, positive: to the target of 0.5, from 0"),
        pytest.param("implicit", None, 0.5, (2 / 3) * STEP, id="new, weaker"),
        pytest.param("implicit", None, -1.0, 0.25 * STEP, id="new, negative: moves towards the item all the same"),
        pytest.param("implicit", (0.1, 0.1), 1.0, 0.1 + 0.35 * STEP, id="existing, Q = 0.3, target 0.65"),
        pytest.param("implicit", (0.1, 0.1), -1.0, 0.1 - 0.15 * STEP, id="existing, Q = 0.3, target 0.15"),
        pytest.param("implicit", (0.5, 0.5), 2.0, None, id="existing, Q = 1.5: far enough"),
        pytest.param("implicit", (-0.5, 0.5), -2.0, None, id="existing, Q = -0.5: far enough"),
        pytest.param("implicit", None, 0.0, None, id="zero strength"),
        pytest.param("explicit", None, 4.0, 4.0 * STEP, id="new rating"),
        pytest.param("explicit", (0.1, 0.1), 4.0, 0.1 + 3.7 * STEP, id="another rating, Q = 0.3"),
        pytest.param("explicit", (0.1, 0.1), 0.0, 0.1 - 0.3 * STEP, id="a rating of 0 is one"),
        pytest.param("explicit", (0.1, 0.1), math.inf, None, id="nothing that is not finite"),
    ],
)
def test_worked_examples(
    feedback: Feedback, vector: tuple[float, float] | None, strength: float, expected: np.ndarray | None
) -> None:
    """The vector moves by (YᵀY)⁻¹ y times what the estimate lacks."""
    x = None if vector is None else np.array(vector, np.float32)
    got = updated(x, Y, strength, solver(), feedback)
    if expected is None:
        assert got is None
    else:
        assert got is not None
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("vector", "strength", "expected"),
    [
        (None, 1.0, [0.13043478, 0.097826086]),
        (None, 0.5, [0.11594203, 0.08695652]),
        ([0.1, 0.1], 1.0, [0.16086957, 0.14565217]),
    ],
)
def test_gives_the_numbers_of_oryxs_own_tests(
    vector: list[float] | None, strength: float, expected: list[float]
) -> None:
    """To the last bit of float32."""
    x = None if vector is None else np.array(vector, np.float32)
    got = updated(x, Y, strength, solver(), "implicit")
    assert got is not None
    assert np.array_equal(got, np.array(expected, np.float32))


def test_the_vector_before_stays_as_it_was() -> None:
    """The other side's step needs it."""
    x = np.array([0.1, 0.1], np.float32)
    updated(x, Y, 1.0, solver(), "implicit")
    assert x.tolist() == np.array([0.1, 0.1], np.float32).tolist()


def test_a_step_that_float32_does_not_hold_is_none() -> None:
    """An infinite vector would spoil every score."""
    assert updated(None, Y, 1e300, solver(), "explicit") is None


def test_items_of_a_query_fold_one_after_the_other() -> None:
    """The second starts from the first's vector: Q = [8, 6]·[1, 2]/46 · 0.75, a target half-way from there to 1."""
    second = np.array([1.0, 2.0], np.float32)
    first = 0.75 * STEP
    current = first @ [1.0, 2.0]
    expected = first + np.array([1.0, 18.0]) / 46 * (1 - current) / 2
    got = fold_in_order(None, [(Y, 1.0), (second, 1.0)], solver(), "implicit")
    assert got is not None
    np.testing.assert_allclose(got, expected, rtol=1e-6)
    other_way = fold_in_order(None, [(second, 1.0), (Y, 1.0)], solver(), "implicit")
    assert other_way is not None
    assert not np.allclose(got, other_way), "the order counts"


def test_a_query_that_changes_nothing_gives_the_vector_it_had() -> None:
    """An item that is liked enough already, then none at all; without a vector there is still none."""
    x = np.array([0.5, 0.5], np.float32)
    assert fold_in_order(x, [(Y, 1.0)], solver(), "implicit") is x
    assert fold_in_order(None, [(Y, 0.0)], solver(), "implicit") is None
    assert fold_in_order(None, [], solver(), "implicit") is None


@pytest.mark.parametrize(
    ("strength", "expected"), [(1.0, math.log(3)), (0.0, 0.0), (-0.25, math.log(0.5)), (-0.5, None), (-2.0, None)]
)
def test_log_strength_has_no_value_for_strongly_negative_ones(strength: float, expected: float | None) -> None:
    """log1p(v/ε) with ε = 0.5, in float32; Java's logarithm is NaN below, and Oryx updates nothing then."""
    objective = Objective.mllib_implicit(0.1, 1.0, log_strength=True, epsilon=0.5)
    got = scaled(strength, objective)
    assert got == (None if expected is None else pytest.approx(expected, rel=1e-7))
    assert got is None or float(np.float32(got)) == got


def test_without_log_strength_a_strength_is_itself_in_float32() -> None:
    """Oryx's speed layer keeps a float; what no float32 holds counts as the limit, and NaN as nothing."""
    objective = Objective.mllib_implicit(0.1, 1.0)
    assert scaled(0.1, objective) == float(np.float32(0.1))
    assert scaled(1e300, objective) == pytest.approx(1e15)
    assert scaled(math.nan, objective) is None


@pytest.mark.parametrize(
    ("rows", "rank"),
    [
        pytest.param([[1.0, 2.0, 3.0], [0.0, 1.0, 1.0]], 2, id="fewer vectors than features"),
        pytest.param([[1.0, 2.0, 3.0], [0.0, 1.0, 1.0], [1.0, 3.0, 4.0]], 2, id="vectors that depend on each other"),
        pytest.param([[0.0, 0.0, 0.0]], 0, id="nothing"),
        pytest.param([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1e-3]], 2, id="a feature far below the others"),
        pytest.param([[math.inf, 0.0, 0.0]], 0, id="not finite"),
    ],
)
def test_near_singular_is_refused_with_the_number_of_features_that_would_do(rows: list[list[float]], rank: int) -> None:
    """Oryx waits for more data then, and so does whoever asks for a solver here."""
    Y = np.array(rows)
    with np.errstate(invalid="ignore"):
        gram = Y.T @ Y
    with pytest.raises(NearSingular, match=f"span about {rank} of 3 features"):
        Solver.of(gram)


def test_the_limit_is_relative_to_the_largest_column() -> None:
    """1e-5 of the norm is refused, just above is not, whatever the scale."""
    for scale in (1e-12, 1.0, 1e12):
        assert apparent_rank(np.diag([1.0, 0.99e-5]) * scale) == 1
        assert apparent_rank(np.diag([1.0, 1.01e-5]) * scale) == 2
