"""Copies of remote generations on this host: verified, one for all processes, bounded in bytes.

::

    <dir>/<generation>            a whole, verified copy: it gets this name by a rename
    <dir>/.incoming/<generation>  being copied, by the process that holds the lock
    <dir>/.evicted/<generation>   being removed
    <dir>/.locks/<generation>     locked for itself by who copies or evicts, shared by who uses it

A process goes on holding the last `KEPT` generations that it asked for, more than any layer has open at once; the
kernel lets go with the process. What nobody holds is evicted, least recently used first, when all copies together
exceed the bound; what is in use may exceed it.
"""

import fcntl
import os
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from oryx_py.errors import StoreUnavailable
from oryx_py.model.files import make_directories, storage, sync_directory
from oryx_py.model.generations.manifest import MANIFEST

__all__ = ["KEPT", "GenerationCache"]

KEPT: Final = 4
_POLL_S = 0.05
_OTHERS_COPY_S = 1800.0


class GenerationCache:
    """Hands out local copies; processes of a host, and threads, may share the directory.

    Args:
        directory: of the copies; created by the first.
        max_bytes: of all copies together.
    """

    def __init__(self, directory: Path, max_bytes: int) -> None:
        self._dir = directory
        self._max_bytes = max_bytes
        self._held: OrderedDict[str, int] = OrderedDict()
        self._guard = threading.RLock()

    def get(self, name: str, copy: Callable[[Path], object]) -> Path:
        """Return the copy of a generation, and keep it until `KEPT` others were asked for.

        Args:
            name: of the generation.
            copy: puts all files of it into an empty directory, verified; called where there is no copy yet.

        Raises:
            StoreUnavailable: the disk does not take it, or another process holds the lock for half an hour.
        """
        path = self._dir / name
        with self._guard, storage(path):
            if name in self._held:
                self._held.move_to_end(name)
                if (path / MANIFEST).is_file():
                    return path
                os.close(self._held.pop(name))  # somebody cleared the directory
            self._hold(name, self._copied(name, path, copy))
        return path

    def adopt(self, name: str, written: Path) -> None:
        """Take a directory that this process has written, and that is committed, for the copy, where it can move."""
        path = self._dir / name
        with self._guard, storage(path), self._alone(name):
            with suppress(OSError):  # on another file system: who wants it copies it
                if not (path / MANIFEST).is_file():
                    self._publish(written, path)
            shutil.rmtree(written, ignore_errors=True)

    def drop(self, name: str) -> None:
        """Forget a generation that is no more; who uses it elsewhere keeps it until evicted."""
        with self._guard:
            if (held := self._held.pop(name, None)) is not None:
                os.close(held)
            self._evict(name)

    def keep(self, names: Collection[str]) -> None:
        """Drop the copies of all other generations, which the store has deleted: nobody will ask for them again.

        What had them mapped keeps its pages; what another process holds goes when that one loads another generation.
        """
        for path in self._copies():
            if path.name not in names:
                self.drop(path.name)

    def _copied(self, name: str, path: Path, copy: Callable[[Path], object]) -> int:
        """A shared lock on a copy that is there."""
        while True:
            lock = self._lock(name, fcntl.LOCK_SH)
            if (path / MANIFEST).is_file():
                return lock
            os.close(lock)
            with self._alone(name):
                if (path / MANIFEST).is_file():
                    continue  # another process has copied it meanwhile
                incoming = self._dir / ".incoming" / name
                shutil.rmtree(incoming, ignore_errors=True)
                make_directories(incoming)
                copy(incoming)
                self._publish(incoming, path)

    def _publish(self, written: Path, path: Path) -> None:
        for folder in (written, *(below for below in written.rglob("*") if below.is_dir())):
            sync_directory(folder)
        shutil.rmtree(path, ignore_errors=True)
        make_directories(path.parent)
        os.rename(written, path)  # noqa: PTH104 - Path.rename says the same by another name
        sync_directory(path.parent)

    def _hold(self, name: str, lock: int) -> None:
        self._held[name] = lock
        os.utime(self._lock_path(name))
        while len(self._held) > KEPT:
            os.close(self._held.popitem(last=False)[1])
        self._shrink()

    def _shrink(self) -> None:
        """Evict until the rest fits, except for what somebody uses."""
        copies = [(self._used(path.name), path.name, _bytes(path)) for path in self._copies()]
        excess = sum(size for _, _, size in copies) - self._max_bytes
        for _, name, size in sorted(copies):
            if excess <= 0:
                return
            if self._evict(name):
                excess -= size

    def _evict(self, name: str) -> bool:
        """Remove a copy unless somebody uses it."""
        path, evicted = self._dir / name, self._dir / ".evicted" / name
        if name in self._held or not path.exists():
            return False
        try:
            lock = self._lock(name, fcntl.LOCK_EX, wait_s=0.0)
        except StoreUnavailable:
            return False
        try:
            shutil.rmtree(evicted, ignore_errors=True)
            make_directories(evicted.parent)
            with suppress(FileNotFoundError):
                os.rename(path, evicted)  # noqa: PTH104
            shutil.rmtree(evicted, ignore_errors=True)
            self._lock_path(name).unlink(missing_ok=True)
        finally:
            os.close(lock)
        return True

    def _copies(self) -> list[Path]:
        if not self._dir.is_dir():
            return []
        return [path for path in self._dir.iterdir() if path.is_dir() and not path.name.startswith(".")]

    def _used(self, name: str) -> float:
        try:
            return self._lock_path(name).stat().st_mtime
        except FileNotFoundError:
            return 0.0

    @contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        lock = self._lock(name, fcntl.LOCK_EX)
        try:
            yield
        finally:
            os.close(lock)

    def _lock(self, name: str, kind: int, wait_s: float = _OTHERS_COPY_S) -> int:
        """Lock a generation; who waited for a lock file that was removed meanwhile takes the new one."""
        path, deadline = self._lock_path(name), time.monotonic() + wait_s
        make_directories(path.parent)
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
                if path.exists() and path.stat().st_ino == os.fstat(descriptor).st_ino:
                    return descriptor
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    os.close(descriptor)
                    raise StoreUnavailable(f"another process holds {path}") from None
                time.sleep(_POLL_S)
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)

    def _lock_path(self, name: str) -> Path:
        return self._dir / ".locks" / name


def _bytes(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
