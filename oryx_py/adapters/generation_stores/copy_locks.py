"""Who uses which copy on this host: a lock file for each, of which the kernel lets go with the process.

The locks are of open files (flock), so that threads are to each other as processes are.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from oryx_py.errors import StoreUnavailable
from oryx_py.model.files import make_directories

__all__ = ["PATIENCE_S", "POLL_S", "CopyLocks"]

POLL_S: Final = 0.05
PATIENCE_S: Final = 1800.0
"""For others that copy."""


class CopyLocks:
    """Locks copies by name. A lock is a descriptor, held until it is closed.

    Raises, from every method:
        OSError: the disk does not take it.

    Args:
        directory: of the lock files; created by the first.
    """

    def __init__(self, directory: Path) -> None:
        self._dir = directory

    def shared(self, name: str) -> int:
        """Lock for using.

        Raises:
            StoreUnavailable: another process holds it alone for half an hour.
        """
        return self._take(name, fcntl.LOCK_SH, PATIENCE_S)

    @contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Wait until nobody else has a lock, and keep everybody out meanwhile.

        Raises:
            StoreUnavailable: another process holds one for half an hour.
        """
        lock = self._take(name, fcntl.LOCK_EX, PATIENCE_S)
        try:
            yield
        finally:
            os.close(lock)

    @contextmanager
    def alone_now(self, name: str) -> Iterator[bool]:
        """Say whether nobody else has a lock, and keep everybody out meanwhile if so."""
        try:
            lock = self._take(name, fcntl.LOCK_EX, 0.0)
        except StoreUnavailable:
            yield False
            return
        try:
            yield True
        finally:
            os.close(lock)

    def used(self, name: str) -> float:
        """When it was last handed out, in seconds since the epoch; 0 where that is not known."""
        try:
            return self._path(name).stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def touch(self, name: str) -> None:
        """Note that it is handed out now."""
        os.utime(self._path(name))

    def forget(self, name: str) -> None:
        """Remove the file of a lock that the caller holds alone; who waits for it takes a new one."""
        self._path(name).unlink(missing_ok=True)

    def _take(self, name: str, kind: int, wait_s: float) -> int:
        path, deadline = self._path(name), time.monotonic() + wait_s
        make_directories(path.parent)
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
                if os.stat(path).st_ino == os.fstat(descriptor).st_ino:  # noqa: PTH116 - beside the descriptor's
                    return descriptor
            except FileNotFoundError:
                pass  # who had it has removed it: there will be a new one
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    os.close(descriptor)
                    raise StoreUnavailable(f"another process holds {path}") from None
                time.sleep(POLL_S)
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)

    def _path(self, name: str) -> Path:
        return self._dir / name
