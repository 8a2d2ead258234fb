"""Copies of remote generations on this host: verified, one for all processes, bounded in bytes.

::

    <dir>/<generation>            a whole, verified copy: it gets this name by a rename
    <dir>/.incoming/<generation>  being copied, by the process that holds the lock
    <dir>/.evicted/<generation>   being removed
    <dir>/.locks/<generation>     locked for itself by who copies or evicts, shared by who uses it

A process goes on holding the last `KEPT` generations that it asked for, more than any layer has open at once; the
kernel lets go with the process. What nobody holds is evicted, least recently used first, before all copies together
with the next one exceed the bound; what is in use may exceed it. Where the disk is full before that, whatever nobody
holds is evicted. What a process was killed over, which is all that is in ``.incoming`` or ``.evicted`` without a lock,
goes each time that the others make room or that a generation is dropped.
"""

import errno
import os
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import Final

from oryx_py.adapters.generation_stores.copy_locks import PATIENCE_S, POLL_S, CopyLocks
from oryx_py.errors import StoreUnavailable
from oryx_py.model.files import make_directories, storage, sync_directory
from oryx_py.model.generations.manifest import MANIFEST

__all__ = ["KEPT", "GenerationCache"]

KEPT: Final = 4
_INCOMING, _EVICTED = ".incoming", ".evicted"
_FULL = {errno.ENOSPC, errno.EDQUOT}


class GenerationCache:
    """Hands out local copies; processes of a host, and threads, may share the directory.

    Args:
        directory: of the copies; created by the first.
        max_bytes: of all copies together.
    """

    def __init__(self, directory: Path, max_bytes: int) -> None:
        self._dir = directory
        self._max_bytes = max_bytes
        self._locks = CopyLocks(directory / ".locks")
        self._held: OrderedDict[str, int] = OrderedDict()
        self._guard = threading.RLock()

    def get(self, name: str, copy: Callable[[Path], object]) -> Path:
        """Return the copy of a generation, and keep it until `KEPT` others were asked for.

        Args:
            name: of the generation.
            copy: puts all files of it into an empty directory, verified; called where there is no copy yet, and a
                second time where the disk was full and had copies that nobody holds. It may call `make_room`.

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
            try:
                lock = self._copied(name, path, copy)
            except (OSError, StoreUnavailable) as error:
                if not _is_full(error) or not self._shrink(0):
                    raise
                lock = self._copied(name, path, copy)
            self._hold(name, lock)
        return path

    def make_room(self, size: int) -> None:
        """Evict what nobody holds until so many bytes more are within the bound, or nothing is left to evict.

        Raises:
            StoreUnavailable: the disk does not do it.
        """
        with self._guard, storage(self._dir):
            self._shrink(self._max_bytes - size)

    def adopt(self, name: str, written: Path) -> None:
        """Take a directory that this process has written, and that is committed, for the copy, where it can move."""
        path = self._dir / name
        with self._guard, storage(path), self._locks.alone(name):
            with suppress(OSError):  # on another file system: who wants it copies it
                if not (path / MANIFEST).is_file():
                    self._publish(written, path)
            shutil.rmtree(written, ignore_errors=True)

    def drop(self, name: str) -> None:
        """Forget a generation that is no more; who uses it elsewhere keeps it until evicted.

        Raises:
            StoreUnavailable: the disk does not do it.
        """
        with self._guard, storage(self._dir):
            if (held := self._held.pop(name, None)) is not None:
                os.close(held)
            self._evict(name)
            self._sweep()

    def keep(self, names: Collection[str]) -> None:
        """Drop the copies of all other generations, which the store has deleted: nobody will ask for them again.

        What had them mapped keeps its pages; what another process holds goes when that one loads another generation.

        Raises:
            StoreUnavailable: the disk does not do it.
        """
        with self._guard, storage(self._dir):
            for path in _directories(self._dir):
                if path.name not in names:
                    self.drop(path.name)
            self._sweep()

    def _copied(self, name: str, path: Path, copy: Callable[[Path], object]) -> int:
        """A shared lock on a copy that is there.

        Who has copied it meanwhile goes on holding it: waiting to be alone with it would be in vain.
        """
        deadline = time.monotonic() + PATIENCE_S
        while True:
            lock = self._locks.shared(name)
            if (path / MANIFEST).is_file():
                return lock
            os.close(lock)
            with self._locks.alone_now(name) as free:
                if free and not (path / MANIFEST).is_file():
                    self._fill(name, path, copy)
            if not free:
                if time.monotonic() >= deadline:
                    raise StoreUnavailable(f"another process uses {path}, which somebody has removed")
                time.sleep(POLL_S)

    def _fill(self, name: str, path: Path, copy: Callable[[Path], object]) -> None:
        incoming = self._dir / _INCOMING / name
        self._clear(name)
        try:
            make_directories(incoming)
            copy(incoming)
            self._publish(incoming, path)
        except BaseException:
            self._clear(name)
            self._forget_unless_there(name)
            raise

    def _publish(self, written: Path, path: Path) -> None:
        for folder in (written, *(below for below in written.rglob("*") if below.is_dir())):
            sync_directory(folder)
        shutil.rmtree(path, ignore_errors=True)
        make_directories(path.parent)
        os.rename(written, path)  # noqa: PTH104 - Path.rename says the same by another name
        sync_directory(path.parent)

    def _hold(self, name: str, lock: int) -> None:
        self._held[name] = lock
        self._locks.touch(name)
        while len(self._held) > KEPT:
            os.close(self._held.popitem(last=False)[1])
        self._shrink(self._max_bytes)

    def _shrink(self, bound: int) -> bool:
        """Evict until the rest fits, except for what somebody uses; says whether anything was removed."""
        removed = self._sweep()
        copies = [(self._locks.used(path.name), path.name, _bytes(path)) for path in _directories(self._dir)]
        excess = sum(size for _, _, size in copies) + _bytes(self._dir / _INCOMING) - bound
        for _, name, size in sorted(copies):
            if excess <= 0:
                break
            if self._evict(name):
                excess -= size
                removed = True
        return removed

    def _evict(self, name: str) -> bool:
        """Remove a copy unless somebody uses it."""
        path, evicted = self._dir / name, self._dir / _EVICTED / name
        if name in self._held or not path.exists():
            return False
        with self._locks.alone_now(name) as free:
            if free:
                self._clear(name)
                make_directories(evicted.parent)
                with suppress(FileNotFoundError):
                    os.rename(path, evicted)  # noqa: PTH104
                self._clear(name)
                self._forget_unless_there(name)
            return free

    def _sweep(self) -> bool:
        """Remove what was being copied or removed by who is no more; says whether there was any.

        Who still does so holds the lock, as this does while it removes: a copy that begins meanwhile waits for it.
        """
        found = {path.name for aside in (_INCOMING, _EVICTED) for path in _directories(self._dir / aside)}
        removed = False
        for name in found:
            with self._locks.alone_now(name) as free:
                if free:
                    self._clear(name)
                    self._forget_unless_there(name)
                    removed = True
        return removed

    def _clear(self, name: str) -> None:
        """Remove what is aside of a generation; only under its lock."""
        for aside in (_INCOMING, _EVICTED):
            shutil.rmtree(self._dir / aside / name, ignore_errors=True)

    def _forget_unless_there(self, name: str) -> None:
        if not (self._dir / name).exists():
            self._locks.forget(name)


def _directories(place: Path) -> list[Path]:
    if not place.is_dir():
        return []
    return [path for path in place.iterdir() if path.is_dir() and not path.name.startswith(".")]


def _bytes(path: Path) -> int:
    """Of all files below; those that go meanwhile count for nothing."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with suppress(FileNotFoundError):
                total += Path(folder, name).stat().st_size
    return total


def _is_full(error: BaseException | None) -> bool:
    """Whether a full disk is the cause."""
    while error is not None and not (isinstance(error, OSError) and error.errno in _FULL):
        error = error.__cause__
    return error is not None
