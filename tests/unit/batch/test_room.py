"""A disk without room is found before the work, with the arithmetic."""

import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from batch_layer.room import check_room
from oryx_py.errors import UserError


class Usage(NamedTuple):
    free: int


def test_a_disk_with_too_little_room_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(free=3 << 30))
    check_room(tmp_path, 3 << 30, "factors of 10 rows")
    with pytest.raises(UserError, match=r"take 4\.0 GiB, and .* has 3\.0 GiB free") as told:
        check_room(tmp_path, 4 << 30, "factors of 10 rows")
    assert "\n" not in str(told.value)
