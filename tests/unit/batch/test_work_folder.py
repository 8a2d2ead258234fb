"""What runs leave to each other in the working directory."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest

from batch_layer.assembly import work_folder
from batch_layer.task_files.store_exchange import StoreExchange
from batch_layer.task_files.work_folder import WorkFolder
from oryx_py.adapters.places import Reach, reach_of, work_of
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
    own = work_of(shared).folder
    assert own.parent == Path("/mnt/work")
    assert work_of(shared).uri == ""
    assert reach_of(shared).staging == own.with_name(f"{own.name}.staged")
    assert work_folder(shared).exchange("run") is None
    beyond = settings("hdfs://n:8020/oryx/work")
    assert work_of(beyond) == (tmp_path / "work" / own.name, f"hdfs://n:8020/oryx/work/{own.name}")
    assert reach_of(beyond).staging is None
    reach = Reach(webhdfs_url="http://n:9870")
    assert work_folder(beyond).exchange("run") == StoreExchange(f"hdfs://n:8020/oryx/work/{own.name}/run", reach)


def test_nothing_is_swept_that_is_not_of_this_store(tmp_path: Path) -> None:
    """Two systems may share a place, and people set what has their own files."""

    def settings(store: str) -> Settings:
        environ = {"ORYX__LOCAL__DIR": str(tmp_path), "ORYX__BATCH__WORK_DIR": str(tmp_path / "mnt")}
        return load(None, {**environ, "ORYX__STORE__URI": store}).settings

    (tmp_path / "mnt" / "photographs").mkdir(parents=True)
    one, other = (settings(store) for store in ("hdfs://n:8020/one", "hdfs://n:8020/other"))
    assert work_of(one) == work_of(settings("hdfs://n:8020/one"))
    with work_folder(one).lent("run") as path:
        (path / "part").touch()
        assert work_folder(other).sweep() == []
        assert (path / "part").exists()
        assert work_folder(one).sweep() == ["run"]
    assert (tmp_path / "mnt" / "photographs").is_dir()
    for each in (one, other):
        staging, own = reach_of(each).staging, work_of(each).folder
        assert staging is not None
        assert staging not in (own, *own.parents)
        assert own not in staging.parents
    assert reach_of(one).staging != reach_of(other).staging


def test_stores_of_one_path_on_two_hosts_share_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def found(host: str, environ: dict[str, str]) -> Path:
        monkeypatch.setattr(socket, "gethostname", lambda: host)
        return work_of(load(None, {"ORYX__STORE__URI": "/var/oryx", **environ}).settings).folder

    shared = {"ORYX__BATCH__WORK_DIR": str(tmp_path)}
    assert found("a", shared) != found("b", shared)
    own = {"ORYX__LOCAL__DIR": str(tmp_path)}  # a container's next life has another name
    assert found("a", own) == found("b", own)
