"""The slow engine promises of merged files what Spark does."""

import pytest

from batch_layer.recipe import recipe_of
from oryx_py.config import Input, Model
from oryx_py.testing.fake_log import FakeLog
from tests.support.batch import SlowEngine
from tests.support.merging import MergingContract


@pytest.fixture
def engine() -> SlowEngine:
    return SlowEngine(FakeLog(), "in", recipe_of(Model(), "slow", Input()))


class TestSlowMerging(MergingContract):
    """Row by row."""
