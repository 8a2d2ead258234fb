"""The folder of the history's rows: ``data/<unique>/…/part-….parquet`` below the place where its commits are."""

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import pyarrow.parquet as pq

from batch_layer.history.describing import described
from oryx_py.adapters.file_reading import open_reading
from oryx_py.model.history import HistoryFile
from oryx_py.ports.files import Files

__all__ = ["HistoryFolder"]

_DATA = "data"


class HistoryFolder:
    """Files of rows, each written once; which of them count is the business of the history's commits.

    Paths are below the history's root; programs that write by themselves, as Spark does, get URIs.

    Args:
        files: rooted at the history's folder, which is also that of its commits.
    """

    def __init__(self, files: Files) -> None:
        self._files = files

    def new(self, name: str) -> str:
        """Return the path of the directory for the files of one commit; it does not exist yet."""
        return f"{_DATA}/{name}"

    def uri(self, path: str) -> str:
        """Return where a path is, as Spark takes it."""
        return self._files.uri(path)

    def uris(self, files: Iterable[HistoryFile]) -> list[str]:
        """Return where committed files are."""
        return [self._files.uri(file.path) for file in files]

    def put(self, local: Path, path: str) -> None:
        """Copy a local file to a path.

        Raises:
            StoreUnavailable: the system does not take it.
        """
        self._files.upload(local, path)

    def opened(self, path: str) -> BinaryIO:
        """Open a file for reading; the caller closes it."""
        return open_reading(self._files, path)

    def remove(self, paths: Iterable[str]) -> None:
        """Remove files that no commit names any more; nothing happens where there are none."""
        for path in paths:
            self._files.delete(path)

    def settle(self, directory: str) -> list[HistoryFile]:
        """Make the files of a directory durable, drop empty ones and what is no file of rows; describe the rest.

        Raises:
            StoreUnavailable: the system does not take it.
        """
        found, folders = [], [directory]
        for path, is_dir, size in self._below(directory):
            name = path.rpartition("/")[2]
            if is_dir:
                folders.append(path)
                continue
            if name.endswith(".parquet") and name[0] not in "._":
                with open_reading(self._files, path) as reading:
                    footer = pq.read_metadata(reading)
                if footer.num_rows:
                    self._files.settle(path)
                    found.append(described(footer, path, size))
                    continue
            self._files.delete(path)
        for path in (*reversed(folders), _DATA, ""):
            self._files.settle(path)
        return found

    def sweep(self, committed: Collection[str]) -> list[str]:
        """Remove the directories that have no committed file; return their names.

        Args:
            committed: paths of files that commits name.
        """
        kept = {path.split("/")[1] for path in committed}
        rubbish = [name for name in sorted(self._files.names(_DATA)) if name not in kept]
        for name in rubbish:
            self._files.delete(f"{_DATA}/{name}")
        return rubbish

    def _below(self, directory: str) -> Iterator[tuple[str, bool, int]]:
        """What is in a directory and below it, by path: the path, whether it is a directory, its bytes."""
        for entry in self._files.list(directory):
            path = f"{directory}/{entry.name}"
            yield path, entry.is_dir, entry.bytes
            if entry.is_dir:
                yield from self._below(path)
