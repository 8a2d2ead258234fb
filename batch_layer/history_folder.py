"""The folder of the history's rows: ``data/<unique>/part-….parquet`` below the place where its commits are."""

import os
import shutil
from collections.abc import Collection, Iterable
from pathlib import Path

import pyarrow.parquet as pq

from oryx_py.model.files import make_directories, storage, sync_directory
from oryx_py.model.history import HistoryFile

__all__ = ["HistoryFolder"]


class HistoryFolder:
    """Files of rows, each written once; which of them count is the business of the history's commits.

    Args:
        root: the history's folder, also of its commits; created by the first files.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self._data = self._root / "data"

    def new(self, name: str) -> Path:
        """Return where the files of one commit go; the directory itself does not exist yet."""
        with storage(self._data):
            make_directories(self._data)
        return self._data / name

    def settle(self, directory: Path) -> list[HistoryFile]:
        """Put the files of a directory on the disk, drop empty ones and what is no file of rows; describe the rest.

        Raises:
            StoreUnavailable: the disk does not take it.
        """
        found = []
        with storage(directory):
            for path in sorted(directory.iterdir()):
                rows = pq.read_metadata(path).num_rows if path.suffix == ".parquet" and path.name[0] not in "._" else 0
                if not rows:
                    path.unlink()
                    continue
                with path.open("rb") as file:
                    os.fsync(file.fileno())
                    size = os.fstat(file.fileno()).st_size
                found.append(HistoryFile(path.relative_to(self._root).as_posix(), rows, size))
            sync_directory(directory)
            sync_directory(self._data)
        return found

    def paths(self, files: Iterable[HistoryFile]) -> list[Path]:
        """Return where committed files are."""
        return [self._root / file.path for file in files]

    def sweep(self, committed: Collection[str]) -> list[str]:
        """Remove the directories that have no committed file; return their names.

        Args:
            committed: paths of files that commits name.
        """
        kept = {path.split("/")[1] for path in committed}
        with storage(self._data):
            rubbish = sorted(path for path in self._data.glob("*") if path.name not in kept)
            for path in rubbish:
                shutil.rmtree(path)
        return [path.name for path in rubbish]
