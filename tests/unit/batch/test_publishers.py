"""A topic that has an Oryx 2 batch layer's models gets none of ours."""

from pathlib import Path

import pytest

from batch_layer.bootstrap import rollback, run
from oryx_py.config import Settings, load
from oryx_py.errors import ConfigError
from oryx_py.runtime.stopping import Stopping


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    environ = {
        "ORYX__LOCAL__DIR": str(tmp_path),
        "ORYX__UPDATE__DIALECT": "oryx2",
        "ORYX__SPEED__FOLD_IN": "oryx",
        "ORYX__KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1",
    }
    return load(None, environ).settings


def test_neither_a_run_nor_a_rollback_begins(settings: Settings) -> None:
    """Both are refused before Kafka is asked for anything, in one line that says what to do."""
    with pytest.raises(ConfigError, match="publishers of one kind only") as refused:
        run(settings, Stopping(), once=True)
    assert "\n" not in str(refused.value)
    with pytest.raises(ConfigError, match="publishers of one kind only"):
        rollback(settings)
