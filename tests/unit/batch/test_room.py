"""A disk without room is found before the work, with the arithmetic; one that is full meanwhile is no end."""

import errno
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from batch_layer.host.disk_space import Wanted, check_room
from batch_layer.spark.engine import SparkEngine
from batch_layer.task_files.work_folder import WorkFolder
from oryx_py.errors import NoRoom, StoreUnavailable
from tests.support.training import recipe


class Usage(NamedTuple):
    free: int


def test_a_disk_with_too_little_room_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(free=3 << 30))
    check_room([Wanted(tmp_path, 3 << 30, "factors of 10 rows")])
    with pytest.raises(NoRoom, match=r"take 4\.0 GiB, and .* has 3\.0 GiB free") as told:
        check_room([Wanted(tmp_path, 4 << 30, "factors of 10 rows")])
    assert "\n" not in str(told.value)


def test_directories_on_one_disk_share_its_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(free=3 << 30))
    (tmp_path / "work").mkdir()
    with pytest.raises(NoRoom, match=r"the parts and the factors take 4\.0 GiB"):
        check_room([Wanted(tmp_path, 2 << 30, "the parts"), Wanted(tmp_path / "work", 2 << 30, "the factors")])


def test_a_disk_that_is_full_in_the_driver_is_tried_again_like_one_in_a_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would end the service otherwise, with a traceback."""

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("batch_layer.spark.engine.train", full)
    monkeypatch.setattr("batch_layer.spark.engine.is_alive", lambda _: True)
    session: Any = SimpleNamespace()
    engine = SparkEngine(Any, recipe(), work=WorkFolder(tmp_path), start=lambda: session, end=lambda _: None)  # type: ignore[arg-type]
    with pytest.raises(StoreUnavailable, match="No space left on device; check the disk's space") as told:
        engine.train([], 1, tmp_path / "into", None)
    assert str(tmp_path) in str(told.value)
    assert list(tmp_path.iterdir()) == []
