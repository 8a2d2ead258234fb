"""What the settings mean to a trainer, and what only the data tell."""

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_layer.recipe import Recipe, recipe_of
from oryx_py.config import Input, Model
from oryx_py.numerics.objective import Objective

STRENGTHS = np.random.default_rng(1).integers(-1, 6, 4_000).astype(float)


def ials(**model: Any) -> Recipe:
    return recipe_of(Model(**model), "ials", Input())


def slow_mean(strengths: np.ndarray, epsilon: float | None = None) -> float:
    sizes = [abs(s) for s in strengths.tolist() if s]
    weights = sizes if epsilon is None else [np.log1p(size / epsilon) for size in sizes]
    return float(np.mean(weights))


def test_a_pair_of_the_mean_strength_weighs_alpha() -> None:
    found = ials(alpha=3.0).fitted_to(STRENGTHS).objective
    assert found.alpha == pytest.approx(3.0 / slow_mean(STRENGTHS))
    found = ials(log_strength=True, epsilon=0.5).fitted_to(STRENGTHS).objective
    assert found.alpha == pytest.approx(1.0 / slow_mean(STRENGTHS, 0.5))
    weights, _, _ = found.weights(STRENGTHS)
    assert weights[weights > 0].mean() == pytest.approx(1.0)


@given(scale=st.floats(1e-4, 1e4))
def test_the_unit_of_the_strengths_changes_nothing(scale: float) -> None:
    how = ials()
    weights = [how.fitted_to(s).objective.weights(s) for s in (STRENGTHS, STRENGTHS * scale)]
    for one, other in zip(*weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


@pytest.mark.parametrize("wild", [1e6, 1e300, -1e300, float(np.finfo(float).max)])
def test_one_wild_strength_leaves_the_others_their_weight(wild: float) -> None:
    alpha, other = (ials().fitted_to(s).objective.alpha for s in (STRENGTHS, np.append(STRENGTHS, wild)))
    assert other == pytest.approx(alpha, rel=0.3)


@pytest.mark.parametrize("strengths", [[], [0.0, 0.0], [5e-324], [1e-300, -1e-300], [1e300] * 3])
def test_any_strengths_give_an_objective(strengths: list[float]) -> None:
    alpha = ials().fitted_to(np.array(strengths)).objective.alpha
    assert 0 < alpha <= 1e6


def test_blocks_change_nothing_but_the_last_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ials().fitted_to(STRENGTHS).objective.alpha
    monkeypatch.setattr("batch_layer.recipe._BLOCK", 7)
    assert ials().fitted_to(STRENGTHS).objective.alpha == pytest.approx(whole, rel=1e-12)


def test_what_the_data_tell_is_no_setting() -> None:
    how, other = ials(alpha=2.0), ials(alpha=3.0)
    fitted = [how.fitted_to(s).objective for s in (STRENGTHS, 10 * STRENGTHS)]
    assert fitted[0] != fitted[1]
    assert how.settings_of(fitted[0]) == how.settings_of(fitted[1]) == how.objective.settings
    assert how.hyperparameters != other.hyperparameters
    for setting in ("lambda_", "g", "nu"):
        changed = msgspec.structs.replace(fitted[0], **{setting: 0.77})
        assert how.settings_of(changed) != how.objective.settings


@pytest.mark.parametrize(
    ("trainer", "model"), [("mllib", {}), ("mllib", {"alpha": 4.0}), ("ials", {"feedback": "explicit"})]
)
def test_others_take_strengths_as_they_are(trainer: str, model: dict[str, Any]) -> None:
    how = recipe_of(Model(**model), trainer, Input())
    assert how.fitted_to(STRENGTHS) is how
    assert how.objective.alpha == model.get("alpha", 1.0)
    assert "alpha" not in how.hyperparameters
    elsewhere = msgspec.structs.replace(how.objective, alpha=9.0)
    assert how.settings_of(elsewhere) == elsewhere


def test_lambda_is_what_suits_the_trainer_unless_it_is_set() -> None:
    automatic = {
        (trainer, feedback): recipe_of(Model(feedback=feedback), trainer, Input()).objective.lambda_
        for trainer in ("ials", "mllib")
        for feedback in ("implicit", "explicit")
    }
    assert len(set(automatic.values())) > 1
    assert automatic["ials", "explicit"] == automatic["mllib", "explicit"]
    for trainer, feedback in automatic:
        given = recipe_of(Model(feedback=feedback, lambda_=0.0), trainer, Input())
        assert given.objective.lambda_ == 0.0
    assert isinstance(ials().objective, Objective)
