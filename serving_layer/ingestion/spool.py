"""Where bulk bodies wait on disk between being read and being sent: bounded, and nothing is left of them."""

import asyncio
import tempfile
import threading
from collections.abc import AsyncIterator, Callable
from functools import partial
from io import BytesIO
from types import TracebackType
from typing import BinaryIO, Final, Self, TypeVar

from oryx_py.errors import ConfigError, StoreUnavailable
from serving_layer.http_semantics.byte_budget import ByteBudget

__all__ = ["Spool", "SpoolPlace"]

T = TypeVar("T")

_AT_ONCE_BYTES: Final = 262_144
"""Smaller spools need no file; written to it, and read, at a time."""
_PIECE_BYTES: Final = 65_536


class SpoolPlace:
    """A folder for spools, and the bytes that all of them may take at the same time; for one loop.

    Args:
        folder: empty for the system's folder of temporary files.
        max_bytes: of all spools.
        open_file: opens a file without a name in a folder, so that not even a crash leaves one behind.

    Raises:
        ConfigError: nothing can be written in the folder.
    """

    def __init__(self, folder: str, max_bytes: int, open_file: Callable[[str], BinaryIO] | None = None) -> None:
        self.folder = folder or tempfile.gettempdir()
        self.budget = ByteBudget(max_bytes)
        self._open_file = open_file or _without_a_name
        try:
            self.open().close()
        except OSError as error:
            raise ConfigError(f"serving.api.spool_dir = {folder!r}: {error}") from error

    def open(self) -> BinaryIO:
        """Open a new file; for a thread that may wait for the disk.

        Raises:
            OSError: it cannot be opened.
        """
        return self._open_file(self.folder)


def _without_a_name(folder: str) -> BinaryIO:
    return tempfile.TemporaryFile(buffering=0, dir=folder)


class Spool:
    """Bytes that are written, and then read; small ones stay in memory. ``with`` frees them at its end."""

    def __init__(self, place: SpoolPlace) -> None:
        self._place = place
        self._memory = bytearray()
        self._disk: _Disk | None = None
        self._on_disk = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._memory.clear()
        self._place.budget.give(self._on_disk)
        self._on_disk = 0
        if self._disk is not None:  # freeing a gigabyte takes a disk some time
            asyncio.get_running_loop().run_in_executor(None, self._disk.close)

    async def write(self, data: bytes) -> None:
        """Add bytes at the end.

        Raises:
            Problem: 429, all spools together would take too much.
            StoreUnavailable: the disk is full, or does not work.
        """
        self._memory += data
        if len(self._memory) >= _AT_ONCE_BYTES:
            await self._write_out()

    async def pieces(self) -> AsyncIterator[bytes]:
        """Read everything, from the beginning, once all is written.

        Raises:
            Problem, StoreUnavailable: as from `write`.
        """
        at = 0
        while data := await self.run(partial(_read, at=at)):
            for start in range(0, len(data), _PIECE_BYTES):
                yield data[start : start + _PIECE_BYTES]
            at += len(data)

    async def run(self, work: Callable[[BinaryIO], T]) -> T:
        """Work with the bytes as a file, in a thread where they are on disk; one call at a time.

        Raises:
            Problem, StoreUnavailable: as from `write`.
        """
        if self._disk is None:
            return work(BytesIO(self._memory))
        await self._write_out()
        return await self._in_thread(self._disk, work)

    async def _write_out(self) -> None:
        if not self._memory:
            return
        data = bytes(self._memory)
        self._place.budget.take(len(data))
        self._on_disk += len(data)
        self._memory.clear()
        if self._disk is None:
            self._disk = _Disk(self._place.open)
        await self._in_thread(self._disk, lambda file: _write(file, data))

    async def _in_thread(self, disk: "_Disk", work: Callable[[BinaryIO], T]) -> T:
        try:
            return await asyncio.to_thread(disk.run, work)
        except OSError as error:
            raise StoreUnavailable(f"spooling the body in {self._place.folder} failed: {error.strerror}") from error


class _Disk:
    """A file for threads, opened when it is needed, and used by one at a time.

    A request that is cut off leaves a thread at work behind, so that only the lock knows when the file may be closed.
    """

    def __init__(self, open_file: Callable[[], BinaryIO]) -> None:
        self._open_file = open_file
        self._lock = threading.Lock()
        self._file: BinaryIO | None = None
        self._closed = False

    def run(self, work: Callable[[BinaryIO], T]) -> T:
        with self._lock:
            if self._closed:
                raise ValueError("closed")
            if self._file is None:
                self._file = self._open_file()
            return work(self._file)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._file is not None:
                self._file.close()


def _write(file: BinaryIO, data: bytes) -> None:
    file.seek(0, 2)
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


def _read(file: BinaryIO, at: int) -> bytes:
    file.seek(at)
    return file.read(_AT_ONCE_BYTES)
