"""Biases go with ratings, our own trainer and the exact fold."""

from pathlib import Path

import numpy as np
import pytest

from batch_layer.recipe import recipe_of
from oryx_py.config import Input, Model, load
from oryx_py.errors import ConfigError
from oryx_py.numerics.biases import Biases
from oryx_py.numerics.objective import Objective

RATINGS = {"ORYX__MODEL__BIASES": "true", "ORYX__MODEL__FEEDBACK": "explicit", "ORYX__BATCH__TRAINER": "ials"}


def test_they_may_be_learned_from_ratings() -> None:
    assert load(None, RATINGS).settings.model.biases


@pytest.mark.parametrize(
    ("other", "remedy"),
    [
        ({"ORYX__MODEL__FEEDBACK": "implicit"}, 'is for ratings: set model.feedback = "explicit"'),
        ({"ORYX__BATCH__TRAINER": "mllib"}, 'needs batch.trainer = "ials"'),
        ({"ORYX__SPEED__FOLD_IN": "oryx"}, 'needs speed.fold_in = "exact"'),
        ({"ORYX__SPEED__FOLD_IN": "oryx", "ORYX__UPDATE__DIALECT": "oryx2"}, 'needs speed.fold_in = "exact"'),
    ],
)
def test_what_does_not_go_with_them_is_one_line(other: dict[str, str], remedy: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        load(None, {**RATINGS, **other, "ORYX__LOCAL__DIR": str(tmp_path)})
    assert str(error.value).startswith("model.biases = true ")
    assert remedy in str(error.value)
    assert "\n" not in str(error.value)


def test_vectors_are_two_longer_than_the_features() -> None:
    recipe = recipe_of(Model(feedback="explicit", biases=True, features=10, lambda_=0.1), "ials", Input())
    assert recipe.features == 12
    assert recipe.objective == Objective.biased_explicit(0.1, Biases(mean=0.0, user=10, item=11))


def test_the_mean_is_that_of_the_ratings() -> None:
    """Those beyond all bounds count as much as they train; the blocks in which they are read change nothing."""
    recipe = recipe_of(Model(feedback="explicit", biases=True, features=10, lambda_=0.1), "ials", Input())
    ratings = np.random.default_rng(1).choice([0.0, 1.0, 4.5], 2_500_000)
    ratings[7] = 1e300
    centred = recipe.fitted_to(ratings).objective
    assert centred.biases is not None
    assert centred.biases.mean == pytest.approx(np.mean(np.clip(ratings, -1e6, 1e6)), rel=1e-12)
    assert centred.settings == recipe.objective
    plain = recipe_of(Model(feedback="explicit"), "ials", Input())
    assert plain.fitted_to(ratings) is plain
