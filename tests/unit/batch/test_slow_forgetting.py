"""The slow engine promises of forgets what Spark does."""

import msgspec
import pytest

from batch_layer.recipe import recipe_of
from oryx_py.config import Input, Model
from oryx_py.testing.fake_log import FakeLog
from tests.support.batch import SlowEngine
from tests.support.forgetting import FOLD, ForgettingContract


@pytest.fixture
def engine() -> SlowEngine:
    return SlowEngine(FakeLog(), "in", msgspec.structs.replace(recipe_of(Model(), "slow", Input()), fold=FOLD))


class TestSlowForgetting(ForgettingContract):
    """Row by row."""
