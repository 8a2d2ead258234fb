"""Where temporary files lie."""

import tempfile
from pathlib import Path

import pytest

from batch_layer.host.scratch import scratch
from batch_layer.task_files.store_exchange import StoreExchange
from batch_layer.task_files.work_folder import WorkFolder
from oryx_py.adapters.places import Reach
from oryx_py.errors import StoreUnavailable


def test_in_a_task_they_lie_where_spark_keeps_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (sparks := tmp_path / "blockmgr-1").mkdir()
    monkeypatch.setenv("SPARK_LOCAL_DIRS", f"{sparks},{tmp_path}/blockmgr-2")
    with scratch("block", tmp_path / "work") as folder:
        assert folder.parent == sparks
        (folder / "rows").touch()
    assert list(sparks.iterdir()) == []


def test_elsewhere_they_lie_in_the_work_folder_which_the_next_run_sweeps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARK_LOCAL_DIRS", str(tmp_path))  # the user's own, for Spark
    work = tmp_path / "work"
    with scratch("import", work) as folder:
        assert folder.parent == work
        assert WorkFolder(work).sweep() == [folder.name]  # as if it had been killed
    assert not folder.exists()


def test_without_either_they_are_the_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPARK_LOCAL_DIRS", raising=False)
    with scratch("part") as folder:
        assert folder.parent == Path(tempfile.gettempdir())


def test_a_disk_that_takes_nothing_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailable, match="file"), scratch("part", tmp_path / "file" / "work"):
        pass


def test_a_place_below_puts_files_together_where_the_one_above_does(tmp_path: Path) -> None:
    assert StoreExchange("memory://a", Reach(), tmp_path).below("run").scratch == tmp_path
