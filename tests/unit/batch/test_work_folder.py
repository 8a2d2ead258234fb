"""What runs leave to each other in the working directory."""

import os
import socket
import subprocess
import sys
from pathlib import Path

from batch_layer.work_folder import WorkFolder


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
