"""What runs leave to each other in the working directory."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from batch_layer.work_folder import WorkFolder
from oryx_py.errors import StoreUnavailable


def test_what_spark_spills_is_each_processs_own_and_goes_when_that_is_dead(tmp_path: Path) -> None:
    """Beside the layer that runs at its interval, another may have a Spark of its own."""
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    host = socket.gethostname()
    for name in (f"spark-{host}-{dead.pid}", f"spark-{host}-{os.getppid()}", "spark-elsewhere-1", "a run"):
        (tmp_path / name).mkdir()
    work = WorkFolder(tmp_path)
    mine = work.for_spark()
    (mine / "block").touch()
    assert not (tmp_path / f"spark-{host}-{dead.pid}").exists()
    assert (tmp_path / f"spark-{host}-{os.getppid()}").exists()
    assert work.sweep() == ["a run"]
    assert (mine / "block").exists()
    assert list(work.for_spark().iterdir()) == []
    assert (tmp_path / "spark-elsewhere-1").exists()


def test_a_directory_is_empty_when_lent_and_gone_afterwards(tmp_path: Path) -> None:
    folder = WorkFolder(tmp_path / "work")
    (tmp_path / "work" / "run").mkdir(parents=True)
    (tmp_path / "work" / "run" / "old").touch()
    with folder.lent("run") as path:
        assert list(path.iterdir()) == []
        (path / "part").touch()
    assert not path.exists()
    with pytest.raises(KeyError), folder.lent("run"):
        raise KeyError
    assert not path.exists()


def test_there_may_be_nothing_to_sweep(tmp_path: Path) -> None:
    assert WorkFolder(tmp_path / "missing").sweep() == []


def test_a_disk_that_takes_nothing_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailable, match="file"), WorkFolder(tmp_path / "file").lent("run"):
        pass
