"""The ``hdfs`` package, with its errors in this project's tree."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, Final
from urllib.parse import urlsplit

from oryx_py.errors import MissingDependency, StoreUnavailable

__all__ = ["EXISTS", "HdfsTrouble", "WebHdfs"]

EXISTS: Final = "FileAlreadyExistsException"
_NOT_FOUND = "FileNotFoundException"
_TIMEOUT_S = 30.0


class HdfsTrouble(StoreUnavailable):
    """What HDFS did not do; ``kind`` is the name of Hadoop's exception, "" where it gave none."""

    def __init__(self, message: str, kind: str) -> None:
        super().__init__(message)
        self.kind = kind


class WebHdfs:
    """One cluster over WebHDFS; threads may share it. Paths are absolute, without the name of the cluster.

    Args:
        url: ``http://namenode:9870``, with ``user@`` before the host where it is not this process's; of several
            NameNodes, all, separated by semicolons, with the user in the first.

    Raises:
        MissingDependency: the ``hdfs`` package is not installed.

    Its methods raise:
        HdfsTrouble: the cluster does not answer, or refuses.
    """

    def __init__(self, url: str) -> None:
        try:
            from hdfs import InsecureClient  # an extra, which only those who use HDFS need
        except ImportError:
            raise MissingDependency("HDFS needs the package hdfs: pip install 'oryx-py[hdfs]'") from None
        logging.getLogger("hdfs.client").setLevel(logging.ERROR)
        self.url = url
        first = urlsplit(url.split(";", maxsplit=1)[0])
        plain = first._replace(netloc=first.netloc.rpartition("@")[2]).geturl()
        urls = ";".join([plain, *url.split(";")[1:]])
        self._client: Any = InsecureClient(urls, user=first.username, timeout=_TIMEOUT_S)

    def status(self, path: str) -> dict[str, Any] | None:
        """Hadoop's ``FileStatus``; None where there is nothing."""
        try:
            with _asking(path):
                found: dict[str, Any] = self._client._get_file_status(path).json()["FileStatus"]
        except HdfsTrouble as trouble:
            if trouble.kind == _NOT_FOUND:
                return None
            raise
        return found

    def statuses(self, path: str) -> list[dict[str, Any]] | None:
        """Those of what is in a directory; that of a file has an empty ``pathSuffix``; None where there is nothing."""
        try:
            with _asking(path):
                found: dict[str, Any] = self._client._list_status(path).json()["FileStatuses"]
        except HdfsTrouble as trouble:
            if trouble.kind == _NOT_FOUND:
                return None
            raise
        statuses: list[dict[str, Any]] = found["FileStatus"]
        return statuses

    def make_directories(self, path: str) -> None:
        """Make a directory and those above it."""
        with _asking(path):
            self._client._mkdirs(path)

    def rename(self, path: str, to: str, *, overwrite: bool = False) -> None:
        """Rename strictly: unless ``overwrite``, an existing ``to`` is an error of kind `EXISTS`; never into it."""
        with _asking(path):
            self._client._rename(path, destination=to, renameoptions="OVERWRITE" if overwrite else "NONE")

    def delete(self, path: str) -> None:
        """Remove a file or a directory with all in it, at once; nothing happens where there is none."""
        with _asking(path):
            self._client._delete(path, recursive="true")

    def write(self, path: str, content: bytes | Iterator[bytes], *, replication: int | None = None) -> None:
        """Create a file, or replace it; torn files are visible, so give it a name that nobody reads."""
        with _asking(path):
            self._client.write(path, content, overwrite=True, replication=replication)

    @contextmanager
    def read(self, path: str, start: int = 0, length: int | None = None) -> Iterator[IO[bytes]]:
        """Open the bytes of a file; what comes may be fewer than there are, when a DataNode dies."""
        with _asking(path), self._client.read(path, offset=start, length=length) as response:
            yield response


@contextmanager
def _asking(path: str) -> Iterator[None]:
    """Translate whatever the client and the HTTP libraries below it raise."""
    try:
        yield
    except (StoreUnavailable, GeneratorExit):
        raise
    except Exception as error:
        line = str(error).strip().split("\n", 1)[0]
        message = f"hdfs:{path}: {line[:200] or repr(error)}"
        raise HdfsTrouble(message, str(getattr(error, "exception", None) or "")) from error
