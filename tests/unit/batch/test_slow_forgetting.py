"""The slow engine promises of forgets what Spark does."""

import msgspec
import pytest

from batch_layer.recipe import recipe_of
from oryx_py.config import Input, Model
from oryx_py.events import FoldSettings
from oryx_py.testing.fake_log import FakeLog
from tests.support.batch import SlowEngine
from tests.support.forgetting import FOLD, WINDOWLESS, ForgettingContract


@pytest.fixture
def engine() -> SlowEngine:
    return engine_by(FOLD)


@pytest.fixture
def windowless() -> SlowEngine:
    return engine_by(WINDOWLESS)


def engine_by(fold: FoldSettings) -> SlowEngine:
    return SlowEngine(FakeLog(), "in", msgspec.structs.replace(recipe_of(Model(), "slow", Input()), fold=fold))


class TestSlowForgetting(ForgettingContract):
    """Row by row."""
