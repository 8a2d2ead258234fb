"""Locks between processes that the kernel releases with the last process that holds them."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from oryx_py.errors import UserError

__all__ = ["held", "is_held", "take"]

_POLL_S = 0.05


def take(path: Path, timeout_s: float) -> int | None:
    """Lock the file ``path`` and return its open descriptor; None if another holds it after ``timeout_s``.

    The lock belongs to the open file: a child that inherits the descriptor keeps it, closing every copy releases it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + timeout_s
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                os.close(descriptor)
                return None
            time.sleep(_POLL_S)
        except BaseException:
            os.close(descriptor)
            raise
        else:
            return descriptor


@contextmanager
def held(path: Path, timeout_s: float) -> Iterator[None]:
    """Hold the lock ``path`` for a block.

    Raises:
        UserError: another process still holds it after ``timeout_s``.
    """
    descriptor = take(path, timeout_s)
    if descriptor is None:
        raise UserError(f"another process has held {path} for {timeout_s:.0f} s: end it and try again")
    try:
        yield
    finally:
        os.close(descriptor)


def is_held(path: Path) -> bool:
    """Return whether some process holds the lock ``path`` now."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)
