"""`Files` wherever fsspec reaches: generations only, since object stores neither create nor rename exclusively."""

import posixpath
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from oryx_py.adapters.file_systems.paths import below, parent_of
from oryx_py.errors import ConfigError, MissingDependency, StoreUnavailable
from oryx_py.model.files import DurableFile, storage, write_file
from oryx_py.ports.files import Entry

__all__ = ["FsspecFiles"]

_BLOCK_BYTES: Final = 1 << 20


class FsspecFiles:
    """Files below a URI of a system that fsspec knows, such as ``s3://bucket/oryx``.

    Args:
        uri: of the root.

    Raises:
        MissingDependency: fsspec, or its package for this system, is not installed.
        ConfigError: fsspec knows no such system.
    """

    exclusive = False

    def __init__(self, uri: str) -> None:
        try:
            import fsspec  # an extra
        except ImportError:
            raise MissingDependency(f"{uri} needs fsspec: pip install 'oryx-py[fsspec]'") from None
        try:
            # What it remembers of a directory would hide what other processes write.
            self._system, self._root = fsspec.core.url_to_fs(uri, use_listings_cache=False)
        except ImportError as error:
            raise MissingDependency(f"{uri}: {error}") from None
        except ValueError as error:
            raise ConfigError(f"{uri}: {error}") from None
        self._uri = uri.rstrip("/")

    def uri(self, path: str = "") -> str:
        """The URI."""
        return f"{self._uri}/{below(path)}" if path else self._uri

    def names(self, path: str = "") -> Sequence[str]:
        """The names in a directory."""
        return [entry.name for entry in self.list(path)]

    def list(self, path: str = "") -> Sequence[Entry]:
        """What is directly in a directory."""
        with self._asking(path):
            self._system.invalidate_cache()
            try:
                found = self._system.ls(self._at(path), detail=True)
            except (FileNotFoundError, NotADirectoryError):
                return []
        root = self._at(path).strip("/")
        entries = [_entry(one) for one in found if one["name"].strip("/") != root]
        return sorted(entries, key=lambda entry: entry.name)

    def size(self, path: str) -> int | None:
        """Bytes of a file."""
        with self._asking(path):
            self._system.invalidate_cache()
            try:
                found = self._system.info(self._at(path))
            except FileNotFoundError:
                return None
        return int(found["size"]) if found["type"] == "file" else None

    def read(self, path: str, start: int = 0, length: int | None = None) -> bytes | None:
        """Bytes of a file."""
        size = self.size(path)
        if size is None:
            return None
        stop = size if length is None else min(size, start + length)
        if stop <= start:
            return b""
        with self._asking(path):
            content: bytes = self._system.cat_file(self._at(path), start=start, end=stop)
        if len(content) != stop - start:
            raise StoreUnavailable(f"{self.uri(path)}: {len(content)} of {stop - start} bytes came")
        return content

    def create(self, path: str, content: bytes) -> bool:  # noqa: ARG002 - the port's
        """Not here."""
        raise self._not_here()

    def upload(self, source: Path, path: str) -> None:
        """Copy a local file to a path."""
        with storage(source), source.open("rb") as file:
            size = file.seek(0, 2)
        with self._asking(path):
            self._system.makedirs(self._at(parent_of(path)), exist_ok=True)
            self._system.put_file(str(source), self._at(path))
        if self.size(path) != size:
            raise StoreUnavailable(f"{self.uri(path)}: not all of {source} arrived")

    def download(self, path: str, into: Path, on_block: Callable[[bytes], object] = lambda _: None) -> bool:
        """Copy a file into a new local one."""
        size = self.size(path)
        if size is None:
            return False

        def write(file: DurableFile) -> None:
            for block in self._blocks(path, size):
                file.write(block)
                on_block(block)

        with storage(into):
            write_file(into, write)
        return True

    def move(self, path: str, to: str) -> bool:  # noqa: ARG002 - the port's
        """Not here."""
        raise self._not_here()

    def delete(self, path: str) -> None:
        """Remove a file, or all whose names begin with the directory's."""
        with self._asking(path):
            self._system.invalidate_cache()
            if self._system.exists(self._at(path)):
                self._system.rm(self._at(path), recursive=True)

    def settle(self, path: str) -> None:
        """Nothing: what such a system acknowledged, it has."""

    def _blocks(self, path: str, size: int) -> Iterator[bytes]:
        got = 0
        with self._asking(path), self._system.open(self._at(path), "rb", block_size=_BLOCK_BYTES) as reading:
            while block := reading.read(_BLOCK_BYTES):
                got += len(block)
                yield block
        if got != size:
            raise StoreUnavailable(f"{self.uri(path)}: {got} of {size} bytes came")

    def _at(self, path: str) -> str:
        return posixpath.join(self._root, below(path)) if path else str(self._root)

    def _not_here(self) -> ConfigError:
        scheme = urlsplit(self._uri).scheme
        return ConfigError(
            f"{self._uri}: {scheme}:// cannot create a file only if absent, so it takes generations only"
        )

    @contextmanager
    def _asking(self, path: str) -> Iterator[None]:
        """Translate whatever fsspec's many systems raise."""
        try:
            yield
        except (StoreUnavailable, GeneratorExit):
            raise
        except Exception as error:
            line = str(error).strip().split("\n", 1)[0]
            raise StoreUnavailable(f"{self.uri(path)}: {line[:200] or repr(error)}") from error


def _entry(found: dict[str, Any]) -> Entry:
    is_dir = found["type"] == "directory"
    return Entry(posixpath.basename(found["name"].rstrip("/")), is_dir, 0 if is_dir else int(found["size"] or 0))
