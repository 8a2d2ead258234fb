"""The files of an Oryx 2 model, where a ``MODEL-REF`` says they are: a folder of this machine, or HDFS by WebHDFS."""

import io
import posixpath
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from oryx_py.adapters.file_systems.webhdfs_client import WebHdfs
from oryx_py.errors import BadMessage, ConfigError, StoreUnavailable
from oryx_py.model.files import storage
from oryx_py.oryx2.parts import ModelFiles, ModelFolder
from oryx_py.oryx2.pmml import MAX_DOCUMENT_BYTES

__all__ = ["HdfsFolder", "LocalFolder", "model_opener"]

_BUFFER_BYTES = 1 << 20
_MAX_URI = 4096


def model_opener(webhdfs_url: str) -> Callable[[str], ModelFiles]:
    """Return what opens a model by the path or URI of its PMML.

    Args:
        webhdfs_url: ``http://namenode:9870``, with ``user@`` before the host if it is not this process's; "" for none.

    The function raises:
        BadMessage: it names no file, or one beyond the bound.
        StoreUnavailable: the file is not there, or cannot be read now.
        ConfigError: it is in HDFS, and there is no ``webhdfs_url``.
        MissingDependency: it is in HDFS, and the package for that is not installed.
    """

    def open_model(uri: str) -> ModelFiles:
        scheme, path = _place(uri)
        folder: ModelFolder
        if scheme == "hdfs":
            if not webhdfs_url:
                raise ConfigError(f"{uri[:200]} is in HDFS: set hdfs.webhdfs_url to the namenode's http address")
            folder = HdfsFolder(WebHdfs(webhdfs_url), posixpath.dirname(path))
        else:
            folder = LocalFolder(Path(path).parent)
        with storage(Path(path)), folder.open(posixpath.basename(path)) as file:
            document = file.read(MAX_DOCUMENT_BYTES + 1)
        return ModelFiles(document, folder)

    return open_model


def _place(uri: str) -> tuple[str, str]:
    """Return the scheme, "" for a path, and the path; Hadoop writes ``file:/x`` with one slash."""
    try:
        parts = urlsplit(uri) if len(uri) <= _MAX_URI else None
    except ValueError:
        parts = None
    if parts is None or "\0" in uri or not parts.path.startswith("/") or parts.path.endswith("/"):
        raise BadMessage(f"MODEL-REF names no file by an absolute path: {uri[:200]!r}")
    if parts.scheme in {"file", "hdfs"}:
        return parts.scheme.replace("file", ""), posixpath.normpath(unquote(parts.path))
    if parts.scheme or parts.netloc:
        raise BadMessage(f"MODEL-REF {uri[:200]!r}: only file and hdfs can be read")
    return "", posixpath.normpath(uri)


class LocalFolder:
    """A folder of this machine; links are followed only within it.

    Args:
        path: of the folder, absolute.
    """

    def __init__(self, path: Path) -> None:
        self.root = path.as_posix()

    def names(self, path: str) -> list[str]:
        """Names of the files in a folder below, ascending."""
        where = self._below(path)
        with storage(where):
            return sorted(file.name for file in where.iterdir() if file.is_file())

    def open(self, path: str) -> IO[bytes]:
        """Open a file for reading."""
        where = self._below(path)
        with storage(where):
            if where.exists() and not where.is_file():
                raise BadMessage(f"{where} is no file")
            return where.open("rb")

    def _below(self, path: str) -> Path:
        with storage(Path(self.root)):
            root = Path(self.root).resolve()
            where = (root / path).resolve()
        if not where.is_relative_to(root):
            raise BadMessage(f"{path[:200]!r} leads out of the model's folder")
        return where


class HdfsFolder:
    """A folder in HDFS.

    Args:
        hdfs: the cluster.
        path: of the folder, absolute, without the name of the cluster.
    """

    def __init__(self, hdfs: WebHdfs, path: str) -> None:
        self._hdfs = hdfs
        self.root = path

    def names(self, path: str) -> list[str]:
        """Names in a folder below, ascending."""
        where = posixpath.join(self.root, path)
        found = self._hdfs.statuses(where)
        if found is None:
            raise StoreUnavailable(f"hdfs:{where} does not exist")
        return sorted(str(one["pathSuffix"]) for one in found)

    def open(self, path: str) -> IO[bytes]:
        """Open a file for reading."""
        return io.BufferedReader(_HdfsFile(self._hdfs.read(posixpath.join(self.root, path))), _BUFFER_BYTES)


class _HdfsFile(io.RawIOBase):
    """A file of HDFS while it is read, as Python's own readers need it."""

    def __init__(self, reading: AbstractContextManager[IO[bytes]]) -> None:
        self._reading = reading
        self._response = reading.__enter__()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            block = self._response.read(len(buffer))
        except Exception as error:
            self._reading.__exit__(type(error), error, error.__traceback__)  # which raises it translated
            raise
        buffer[: len(block)] = block
        return len(block)

    def close(self) -> None:
        if not self.closed:
            self._reading.__exit__(None, None, None)
        super().close()
