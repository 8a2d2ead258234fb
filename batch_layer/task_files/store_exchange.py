"""Where tasks leave files to each other: in any store that this project speaks to."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from batch_layer.host.scratch import scratch
from batch_layer.task_files.local_bytes import BLOCK_BYTES, write_arrays
from oryx_py.adapters.places import Reach, open_files
from oryx_py.errors import StoreUnavailable
from oryx_py.model.files import storage
from oryx_py.ports.files import Files

__all__ = ["StoreExchange"]

_PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""Before a store that does not answer is asked again: HDFS is back within a quarter of a minute, and Spark runs a task
that fails four times at once."""

T = TypeVar("T")


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
                written = write_arrays(path, parts)
            _patiently(lambda: self._files.upload(path, name))
        return written

    def read(self, name: str, start: int, into: NDArray[np.generic]) -> None:
        """See `Exchange`."""
        view = into.reshape(-1).view(np.uint8)
        for at in range(0, len(view), 8 * BLOCK_BYTES):
            first, part = start + at, view[at : at + 8 * BLOCK_BYTES]
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
