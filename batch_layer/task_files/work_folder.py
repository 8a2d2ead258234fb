"""The working directory: what one run's tasks leave to each other."""

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from batch_layer.task_files.exchange import Exchange
from oryx_py.errors import StoreUnavailable
from oryx_py.model.files import make_directories, storage

__all__ = ["WorkFolder"]

_SPARK = "spark-"


class WorkFolder:
    """A directory a run below one place, of which there is one at a time, and one a process for what Spark spills.

    Args:
        root: of all; created with the first.
        beyond: where tasks leave files to each other if they do not see the root, a directory a run likewise.
    """

    def __init__(self, root: Path, beyond: Exchange | None = None) -> None:
        self._root = root.resolve()
        self._beyond = beyond

    @property
    def root(self) -> Path:
        """Of all."""
        return self._root

    def exchange(self, name: str) -> Exchange | None:
        """Return where the tasks of the run of this name leave files to each other; None: in what it is `lent`."""
        return None if self._beyond is None else self._beyond.below(name)

    @contextmanager
    def lent(self, name: str) -> Iterator[Path]:
        """Lend an empty directory, and remove it afterwards with all that is in it.

        Raises:
            StoreUnavailable: the disk does not take it.
        """
        path = self._root / name
        with storage(path):
            shutil.rmtree(path, ignore_errors=True)
            make_directories(path)
        if self._beyond is not None:
            self._beyond.delete(name)
        try:
            yield path
        finally:
            # A task that was given up may still be writing; what it leaves is swept by the next run.
            shutil.rmtree(path, ignore_errors=True)
            if self._beyond is not None:
                with suppress(StoreUnavailable):
                    self._beyond.delete(name)

    def for_spark(self) -> Path:
        """Return where a session that is about to begin spills; what dead ones have left there is removed."""
        host = socket.gethostname()
        for left in self._root.glob(f"{_SPARK}{host}-*"):
            pid = left.name.rpartition("-")[2]
            if not pid.isdigit() or int(pid) == os.getpid() or not _is_alive(int(pid)):
                shutil.rmtree(left, ignore_errors=True)
        path = self._root / f"{_SPARK}{host}-{os.getpid()}"
        with storage(path):
            make_directories(path)
        return path

    def sweep(self) -> list[str]:
        """Remove what runs have left, but for Spark's, which a session may be using; return the names.

        Raises:
            StoreUnavailable: what is beyond this host cannot be reached.
        """
        rubbish = sorted(path for path in self._root.glob("*") if not path.name.startswith(_SPARK))
        for path in rubbish:
            shutil.rmtree(path, ignore_errors=True)
        swept = [path.name for path in rubbish]
        if self._beyond is not None:
            for name in sorted(self._beyond.names()):
                self._beyond.delete(name)
                swept.append(name)
        return swept


def _is_alive(pid: int) -> bool:
    """Whether a process of this number runs on this machine."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
