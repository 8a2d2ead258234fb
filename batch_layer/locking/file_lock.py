"""The lock of runs where the registry lies in a folder: the kernel's, on a file."""

import os
import time
from contextlib import suppress
from pathlib import Path

import msgspec

from batch_layer.locking.run_lock import Holder
from oryx_py.local import locks
from oryx_py.model.files import storage

__all__ = ["FileLock"]

_LOOKS, _LOOK_S = 5, 0.02


class FileLock:
    """The kernel's lock on a file; a process that ends, however it does, loses it.

    Args:
        path: of the file, made where it is not there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def attempt(self, holder: Holder) -> Holder | None:
        """Take it; see the port."""
        with storage(self._path):
            descriptor = locks.take(self._path, 0.0)
            if descriptor is None:
                return self._told()
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, msgspec.json.encode(holder), 0)
        self._descriptor = descriptor
        return None

    def lost(self) -> bool:
        """Never: the kernel sees to it."""
        return False

    def release(self) -> None:
        """Give it back."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _told(self) -> Holder:
        for _ in range(_LOOKS):
            with suppress(msgspec.MsgspecError):  # it is just being written
                return msgspec.json.decode(self._path.read_bytes(), type=Holder)
            time.sleep(_LOOK_S)
        return Holder("some machine", 0, 0)
