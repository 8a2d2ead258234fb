"""`Files` in HDFS, by WebHDFS, so that nothing but HTTP is needed outside Spark.

HDFS is careless where one does not look: a rename answers False where it did nothing, and moves *into* a directory of
the new name. Asked strictly (`WebHdfs.rename`) it does neither. An answer that gets lost, with the NameNode or on the
way, leaves open whether the rename was done: so its outcome is looked at, never repeated blindly.
"""

import posixpath
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from oryx_py.adapters.file_systems.paths import below, hidden_beside, parent_of
from oryx_py.adapters.file_systems.webhdfs_client import EXISTS, HdfsTrouble, WebHdfs
from oryx_py.errors import StoreUnavailable
from oryx_py.model.files import DurableFile, storage, write_file
from oryx_py.ports.files import Entry

__all__ = ["WebHdfsFiles"]

_BLOCK_BYTES: Final = 1 << 20


class WebHdfsFiles:
    """Files below a directory of HDFS.

    Args:
        hdfs: the cluster.
        uri: of the root, as Spark takes it, such as ``hdfs://namenode:8020/oryx``.
        root: its path in HDFS, absolute.
        replication: copies of each block; 0 for what the cluster has as its default.
    """

    exclusive = True

    def __init__(self, hdfs: WebHdfs, uri: str, root: str, *, replication: int = 0) -> None:
        self._hdfs = hdfs
        self._uri = uri.rstrip("/")
        self._root = root
        self._replication = replication or None

    def uri(self, path: str = "") -> str:
        """The URI; Hadoop takes names as they are, without percent signs for others."""
        return f"{self._uri}/{below(path)}" if path else self._uri

    def names(self, path: str = "") -> Sequence[str]:
        """The names in a directory."""
        return [entry.name for entry in self.list(path)]

    def list(self, path: str = "") -> Sequence[Entry]:
        """What is directly in a directory."""
        # Asked about a file, HDFS lists that file, without a name.
        found = [_entry(one) for one in self._hdfs.statuses(self._at(path)) or () if one["pathSuffix"]]
        return sorted(found, key=lambda entry: entry.name)

    def size(self, path: str) -> int | None:
        """Bytes of a file."""
        status = self._hdfs.status(self._at(path))
        return int(status["length"]) if status and status["type"] == "FILE" else None

    def read(self, path: str, start: int = 0, length: int | None = None) -> bytes | None:
        """Bytes of a file."""
        size = self.size(path)
        if size is None:
            return None
        wanted = max(0, size - start if length is None else min(length, size - start))
        return b"".join(self._blocks(path, start, wanted))

    def create(self, path: str, content: bytes) -> bool:
        """Make a file unless there is one: write it aside, and rename it."""
        if self.size(path) is not None:
            return self.read(path) == content
        aside = hidden_beside(path)
        try:
            self._hdfs.write(self._at(aside), content, replication=self._replication)
            self._hdfs.rename(self._at(aside), self._at(path))
        except HdfsTrouble:
            # Another writer was first, and may have swept our file already; or it was us, and the answer got lost.
            there = self.read(path)
            if there is None:
                raise
            self.delete(aside)
            return there == content
        return True

    def upload(self, source: Path, path: str) -> None:
        """Copy a local file to a path: write it aside, and rename it over what is there."""
        aside = hidden_beside(path)
        with storage(source), source.open("rb") as file:
            blocks = iter(lambda: file.read(_BLOCK_BYTES), b"")
            self._hdfs.write(self._at(aside), blocks, replication=self._replication)
            size = file.tell()
        if self.size(aside) != size:
            raise StoreUnavailable(f"{self.uri(path)}: not all of {source} arrived")
        self._hdfs.rename(self._at(aside), self._at(path), overwrite=True)

    def download(self, path: str, into: Path, on_block: Callable[[bytes], object] = lambda _: None) -> bool:
        """Copy a file into a new local one."""
        size = self.size(path)
        if size is None:
            return False

        def write(file: DurableFile) -> None:
            for block in self._blocks(path, 0, size):
                file.write(block)
                on_block(block)

        with storage(into):
            write_file(into, write)
        return True

    def move(self, path: str, to: str) -> bool:
        """Rename, to a name that does not exist."""
        self._hdfs.make_directories(self._at(parent_of(to)))
        return self._rename(path, to)

    def delete(self, path: str) -> None:
        """Remove a file, or a directory with all in it, at once."""
        self._hdfs.delete(self._at(path))

    def settle(self, path: str) -> None:
        """Nothing: what HDFS acknowledged, it has."""

    def _rename(self, path: str, to: str) -> bool:
        try:
            self._hdfs.rename(self._at(path), self._at(to))
        except HdfsTrouble as trouble:
            left, there = (self._hdfs.status(self._at(name)) is not None for name in (path, to))
            if there and not left:
                return True  # the answer got lost
            if there and trouble.kind == EXISTS:
                return False
            raise
        return True

    def _blocks(self, path: str, start: int, length: int) -> Iterator[bytes]:
        """The bytes: a DataNode that dies in between must not make a short file of it."""
        if not length:
            return
        got = 0
        with self._hdfs.read(self._at(path), start, length) as response:
            while block := response.read(_BLOCK_BYTES):
                got += len(block)
                yield block
        if got != length:
            raise StoreUnavailable(f"{self.uri(path)}: {got} of {length} bytes came")

    def _at(self, path: str) -> str:
        return posixpath.join(self._root, below(path)) if path else self._root


def _entry(status: dict[str, Any]) -> Entry:
    is_dir = status["type"] == "DIRECTORY"
    return Entry(str(status["pathSuffix"]), is_dir, 0 if is_dir else int(status["length"]))
