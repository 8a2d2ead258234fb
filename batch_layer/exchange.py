"""Where tasks leave files to each other: a folder that all of them see, or any store that this project speaks to.

What both promise, and tests/unit/batch/test_exchange.py checks: a file appears at once and whole, in the place of one
of its name, so that a task that died, or runs twice, does no harm; and any part of it can be read by itself.
"""

import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from batch_layer.scratch import scratch
from oryx_py.adapters.places import Reach, open_files
from oryx_py.errors import StoreUnavailable
from oryx_py.model.files import storage
from oryx_py.ports.files import Files

__all__ = ["Exchange", "FolderExchange", "StoreExchange"]

_BLOCK_BYTES = 1 << 20

_PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""Before a store that does not answer is asked again: HDFS is back within a quarter of a minute, and Spark runs a task
that fails four times at once."""

T = TypeVar("T")


class Exchange(Protocol):
    """Files by name, below one place; travels to the tasks, and threads may share it.

    Raises, from every method:
        StoreUnavailable: the place does not answer, or refuses; a task that is run again may help.
    """

    @property
    def gap_bytes(self) -> int:
        """What is sooner read and thrown away than left out by another request."""

    def below(self, name: str) -> "Exchange":
        """The files in a directory of this name."""

    def write(self, name: str, parts: Iterable[NDArray[np.generic]]) -> int:
        """Write the bytes of contiguous arrays one after the other, in bounded memory; returns how many."""

    def read(self, name: str, start: int, into: NDArray[np.generic]) -> None:
        """Fill a contiguous array with a file's bytes from ``start`` on."""

    def size(self, name: str) -> int:
        """Bytes of a file."""

    def upload(self, source: Path, name: str) -> None:
        """Copy a file of this machine here."""

    def download(self, name: str, into: Path) -> None:
        """Copy a file to this machine, to a path where nothing is."""

    def names(self) -> Sequence[str]:
        """Return the names directly below, in any order; none where there is nothing."""

    def delete(self, name: str = "") -> None:
        """Remove a file, or a directory with all in it; nothing happens where there is none."""


@dataclass(frozen=True, slots=True)
class FolderExchange:
    """In a folder that is mounted wherever tasks run."""

    root: Path

    @property
    def gap_bytes(self) -> int:
        """See `Exchange`: a seek costs as much as a few pages."""
        return 1 << 14

    def below(self, name: str) -> "FolderExchange":
        """See `Exchange`."""
        return FolderExchange(self.root / name)

    def write(self, name: str, parts: Iterable[NDArray[np.generic]]) -> int:
        """See `Exchange`; nothing of it need outlive this machine's power."""
        path = self.root / name
        aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        with storage(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                written = _write(aside, parts)
                os.replace(aside, path)  # noqa: PTH105 - Path.replace says the same by another name
            finally:
                aside.unlink(missing_ok=True)
        return written

    def read(self, name: str, start: int, into: NDArray[np.generic]) -> None:
        """See `Exchange`."""
        path, left = self.root / name, into.reshape(-1).view(np.uint8).data
        with storage(path), path.open("rb", buffering=0) as file:
            file.seek(start)
            while left:
                got = file.readinto(left)
                if not got:
                    raise StoreUnavailable(f"{path} ends {len(left)} bytes too soon")
                left = left[got:]

    def size(self, name: str) -> int:
        """See `Exchange`."""
        with storage(self.root / name):
            return (self.root / name).stat().st_size

    def upload(self, source: Path, name: str) -> None:
        """See `Exchange`."""
        self.write(name, _blocks(source))

    def download(self, name: str, into: Path) -> None:
        """See `Exchange`."""
        with storage(into):
            shutil.copyfile(self.root / name, into)

    def names(self) -> Sequence[str]:
        """See `Exchange`."""
        with storage(self.root):
            return [path.name for path in self.root.iterdir()] if self.root.is_dir() else []

    def delete(self, name: str = "") -> None:
        """See `Exchange`."""
        path = self.root / name if name else self.root
        with storage(path):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class StoreExchange:
    """Below a URI in HDFS or where fsspec reaches; files are put together on this machine first (`scratch`).

    Attributes:
        uri: of the place.
        reach: how it is reached.
        scratch: where that is done outside of tasks.
    """

    uri: str
    reach: Reach
    scratch: Path | None = field(default=None, compare=False)

    @property
    def gap_bytes(self) -> int:
        """See `Exchange`: a request over HTTP takes as long as megabytes that are under way."""
        return 1 << 20

    def below(self, name: str) -> "StoreExchange":
        """See `Exchange`."""
        return StoreExchange(f"{self.uri.rstrip('/')}/{name}", self.reach, self.scratch)

    def write(self, name: str, parts: Iterable[NDArray[np.generic]]) -> int:
        """See `Exchange`."""
        with scratch("block", self.scratch) as folder:
            path = folder / "block"
            with storage(path):
                written = _write(path, parts)
            _patiently(lambda: self._files.upload(path, name))
        return written

    def read(self, name: str, start: int, into: NDArray[np.generic]) -> None:
        """See `Exchange`."""
        view = into.reshape(-1).view(np.uint8)
        for at in range(0, len(view), 8 * _BLOCK_BYTES):
            first, part = start + at, view[at : at + 8 * _BLOCK_BYTES]
            content = _patiently(partial(self._files.read, name, first, len(part)))
            if content is None or len(content) != len(part):
                raise StoreUnavailable(f"{self._files.uri(name)} is missing, or ends too soon")
            part[:] = np.frombuffer(content, np.uint8)

    def size(self, name: str) -> int:
        """See `Exchange`."""
        size = _patiently(lambda: self._files.size(name))
        if size is None:
            raise StoreUnavailable(f"{self._files.uri(name)} is missing")
        return size

    def upload(self, source: Path, name: str) -> None:
        """See `Exchange`."""
        _patiently(lambda: self._files.upload(source, name))

    def download(self, name: str, into: Path) -> None:
        """See `Exchange`."""
        if not self._files.download(name, into):
            raise StoreUnavailable(f"{self._files.uri(name)} is missing")

    def names(self) -> Sequence[str]:
        """See `Exchange`."""
        return self._files.names()

    def delete(self, name: str = "") -> None:
        """See `Exchange`."""
        self._files.delete(name)

    @property
    def _files(self) -> Files:
        return _opened(self.uri, self.reach)


def _patiently(ask: Callable[[], T]) -> T:
    """Ask a store, again after a while if it does not answer."""
    for pause_s in _PAUSES_S:
        try:
            return ask()
        except StoreUnavailable:
            time.sleep(pause_s)
    return ask()


@cache
def _opened(uri: str, reach: Reach) -> Files:
    """A task's process opens a place once."""
    return open_files(uri, "batch.work_dir", reach)


def _write(path: Path, parts: Iterable[NDArray[np.generic]]) -> int:
    written = 0
    with path.open("wb", buffering=0) as file:
        for part in parts:
            left = part.reshape(-1).view(np.uint8).data
            written += len(left)
            while left:  # a raw file may take less than it is given
                left = left[file.write(left) :]
    return written


def _blocks(path: Path) -> Iterable[NDArray[np.uint8]]:
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            yield np.frombuffer(block, np.uint8)
