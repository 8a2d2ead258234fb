"""The folder of the history's rows: ``data/<unique>/…/part-….parquet`` below the place where its commits are."""

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow.parquet as pq

from batch_layer.history.file_footers import described
from oryx_py.adapters.file_systems.reading import open_reading
from oryx_py.errors import StoreUnavailable
from oryx_py.model.history.commits import HistoryFile
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

    @contextmanager
    def begun(self, name: str) -> Iterator[str]:
        """Give the path of such a directory to a block that fills it; where the block fails, the directory is removed.

        The commit belongs behind the block: where its answer gets lost, nobody knows whether the files count.
        """
        directory = self.new(name)
        try:
            yield directory
        except (Exception, KeyboardInterrupt):
            with suppress(StoreUnavailable):  # it is swept
                self._files.delete(directory)
            raise

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

    def remove(self, dropped: Collection[str], kept: Iterable[HistoryFile]) -> None:
        """Remove files that commits have dropped, and directories that have no others; some may be gone.

        Args:
            dropped: paths.
            kept: the files that count.
        """
        named = {_directory(file.path) for file in kept}
        self.drop(sorted({_directory(path) for path in dropped} - named))
        for path in dropped:
            if _directory(path) in named:
                self._files.delete(path)

    def settle(self, directory: str, rows: int) -> list[HistoryFile]:
        """Make the files of a directory durable, drop empty ones and what is no file of rows; describe the rest.

        This is for right before the commit: each file is looked into. A directory without rows is removed.

        Args:
            directory: its path.
            rows: how many were written, which is how many there have to be.

        Raises:
            StoreUnavailable: the system does not take it, or not all rows are there: nothing may be committed.
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
        there = sum(file.rows for file in found)
        if there != rows:
            raise StoreUnavailable(
                f"{self.uri(directory)} has {there:,} rows where {rows:,} were written, as if another process had "
                "taken this one for dead: nothing was committed, run it again"
            )
        if not found:
            self._files.delete(directory)
            return []
        for path in (*reversed(folders), _DATA, ""):
            self._files.settle(path)
        return found

    def uncommitted(self, committed: Iterable[HistoryFile]) -> list[str]:
        """Return the names of the directories that have no committed file.

        One of them may be just being written: see `batch_layer.history.orphan_files`.
        """
        kept = {_directory(file.path) for file in committed}
        return [name for name in sorted(self._files.names(_DATA)) if name not in kept]

    def drop(self, names: Iterable[str]) -> None:
        """Remove directories with all in them, by their names."""
        for name in names:
            self._files.delete(f"{_DATA}/{name}")

    def _below(self, directory: str) -> Iterator[tuple[str, bool, int]]:
        """What is in a directory and below it, by path: the path, whether it is a directory, its bytes."""
        for entry in self._files.list(directory):
            path = f"{directory}/{entry.name}"
            yield path, entry.is_dir, entry.bytes
            if entry.is_dir:
                yield from self._below(path)


def _directory(path: str) -> str:
    """Return the name of the directory of one commit that a file is in."""
    return path.split("/")[1]
