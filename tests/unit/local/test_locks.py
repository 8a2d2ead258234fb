"""Locks between processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from oryx_py.errors import UserError
from oryx_py.local import locks


def test_only_one_holds_a_lock_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "lock"
    assert not locks.is_held(path)
    with locks.held(path, 0):
        assert locks.is_held(path)
        assert locks.take(path, 0) is None
        with pytest.raises(UserError, match="another process has held"), locks.held(path, 0):
            pass
    assert not locks.is_held(path)


def test_looking_at_a_lock_does_not_take_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.touch()
    assert not locks.is_held(path)
    descriptor = locks.take(path, 0)
    assert descriptor is not None
    os.close(descriptor)


def test_a_child_that_inherits_the_lock_holds_it_until_it_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    descriptor = locks.take(path, 0)
    assert descriptor is not None
    wait = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with subprocess.Popen(wait, stdin=subprocess.PIPE, pass_fds=(descriptor,)) as child:
        os.close(descriptor)
        assert locks.is_held(path)
        child.kill()
        child.wait()
        assert not locks.is_held(path)
