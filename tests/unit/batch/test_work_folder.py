"""What runs leave to each other in the working directory."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest

from batch_layer.bootstrap import work_folder
from batch_layer.exchange import StoreExchange
from batch_layer.work_folder import WorkFolder
from oryx_py.adapters.places import Reach, reach_of
from oryx_py.config import Settings, load
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


def test_what_is_beyond_this_host_is_emptied_and_swept_likewise(tmp_path: Path) -> None:
    place = StoreExchange(f"memory://{uuid4().hex}/work", Reach())
    folder = WorkFolder(tmp_path, place)
    place.below("run").write("old", [np.zeros(1)])
    place.below("another").write("left", [np.zeros(1)])
    with folder.lent("run"):
        exchange = folder.exchange("run")
        assert exchange is not None
        assert list(exchange.names()) == []
        exchange.write("part", [np.zeros(1)])
    assert sorted(place.names()) == ["another"]
    assert folder.sweep() == ["another"]
    assert list(place.names()) == []
    assert WorkFolder(tmp_path).exchange("run") is None


def test_the_settings_say_whether_tasks_meet_in_a_folder_or_beyond(tmp_path: Path) -> None:
    def settings(work_dir: str) -> Settings:
        environ = {"ORYX__LOCAL__DIR": str(tmp_path), "ORYX__HDFS__WEBHDFS_URL": "http://n:9870"}
        return load(None, {**environ, "ORYX__BATCH__WORK_DIR": work_dir}).settings

    shared = settings("/mnt/work")
    assert (shared.work_dir, shared.work_uri) == (Path("/mnt/work"), "")
    assert reach_of(shared).staging == Path("/mnt/work.staged")
    assert work_folder(shared).exchange("run") is None
    beyond = settings("hdfs://n:8020/oryx/work")
    assert (beyond.work_dir, beyond.work_uri) == (tmp_path / "work", "hdfs://n:8020/oryx/work")
    assert reach_of(beyond).staging is None
    reach = Reach(webhdfs_url="http://n:9870")
    assert work_folder(beyond).exchange("run") == StoreExchange("hdfs://n:8020/oryx/work/run", reach)
