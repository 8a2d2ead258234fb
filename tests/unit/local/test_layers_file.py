"""How `oryx status` finds what `oryx up` runs."""

import subprocess
import sys
from pathlib import Path

import pytest

from oryx_py.errors import UserError
from oryx_py.local.layers_file import LayersFile, announced, read_layers

LAYERS = {"speed": "127.0.0.1:1", "serve": "127.0.0.1:2"}


def test_what_runs_is_found_as_long_as_it_runs(tmp_path: Path) -> None:
    assert read_layers(tmp_path) is None
    with announced(tmp_path, LAYERS):
        assert read_layers(tmp_path) == LayersFile(LAYERS)
    assert read_layers(tmp_path) is None


def test_a_second_one_in_the_folder_is_refused_and_the_first_stays(tmp_path: Path) -> None:
    with announced(tmp_path, LAYERS):
        with pytest.raises(UserError, match="already runs"), announced(tmp_path, {}):
            pass
        assert read_layers(tmp_path) == LayersFile(LAYERS)


def test_the_file_of_one_that_was_killed_says_nothing(tmp_path: Path) -> None:
    """kill -9 leaves the file, and not the lock."""
    script = (
        "import os, sys, pathlib; from oryx_py.local.layers_file import announced\n"
        "with announced(pathlib.Path(sys.argv[1]), {'speed': 'h:1'}): os._exit(9)"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert killed.returncode == 9
    assert (tmp_path / "layers.json").exists()
    assert read_layers(tmp_path) is None
    with announced(tmp_path, LAYERS):
        assert read_layers(tmp_path) == LayersFile(LAYERS)
