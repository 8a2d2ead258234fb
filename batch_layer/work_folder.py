"""The working directory: what one run's tasks leave to each other."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from oryx_py.model.files import make_directories, storage

__all__ = ["WorkFolder"]

_SPARK = "spark"


class WorkFolder:
    """A directory a run below one place, and one for what Spark spills. One batch layer at a time.

    Args:
        root: of all; created with the first.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

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
        try:
            yield path
        finally:
            # A task that was given up may still be writing; what it leaves is swept by the next run.
            shutil.rmtree(path, ignore_errors=True)

    def for_spark(self) -> Path:
        """Return where a session that is about to begin spills; what a dead one has left there is removed."""
        path = self._root / _SPARK
        shutil.rmtree(path, ignore_errors=True)
        with storage(path):
            make_directories(path)
        return path

    def sweep(self) -> list[str]:
        """Remove what runs have left, but for Spark's, which a session may be using; return the names."""
        rubbish = sorted(path for path in self._root.glob("*") if path.name != _SPARK)
        for path in rubbish:
            shutil.rmtree(path, ignore_errors=True)
        return [path.name for path in rubbish]
