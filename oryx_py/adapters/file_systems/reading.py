"""A file of any `Files` as Python's own readers need it: seekable, read in blocks."""

import io
import os
from typing import Any, BinaryIO, cast

from oryx_py.errors import StoreUnavailable
from oryx_py.ports.files import Files

__all__ = ["open_reading"]

_BLOCK_BYTES = 1 << 20


def open_reading(files: Files, path: str) -> BinaryIO:
    """Open a file that does not change any more.

    Raises:
        StoreUnavailable: there is none, or the system does not give it.
    """
    size = files.size(path)
    if size is None:
        raise StoreUnavailable(f"{files.uri(path)} is missing")
    return cast("BinaryIO", io.BufferedReader(_Reading(files, path, size), min(_BLOCK_BYTES, max(1, size))))


class _Reading(io.RawIOBase):
    def __init__(self, files: Files, path: str, size: int) -> None:
        self._files, self._path, self._size = files, path, size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        block = self._files.read(self._path, self._at, len(buffer)) if self._at < self._size else b""
        if block is None:
            raise StoreUnavailable(f"{self._files.uri(self._path)} went while it was read")
        buffer[: len(block)] = block
        self._at += len(block)
        return len(block)
