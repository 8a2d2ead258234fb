"""`Files` in a directory of the local file system."""

import errno
import os
import shutil
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from oryx_py.adapters.file_systems.paths import below, hidden_beside
from oryx_py.errors import ConfigError
from oryx_py.model.files import DurableFile, make_directories, storage, sync_directory, write_file
from oryx_py.ports.files import Entry

__all__ = ["LocalFiles"]

_BLOCK_BYTES = 1 << 20
_EXISTS = {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}


class LocalFiles:
    """Files below a directory, which is created by the first of them.

    The file system must have hard links, as those of Linux, macOS and NFS do: a link is what is made only if absent.
    """

    exclusive = True

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    def uri(self, path: str = "") -> str:
        """The ``file://`` URI."""
        return self._at(path).as_uri()

    def names(self, path: str = "") -> Sequence[str]:
        """The names in a directory."""
        where = self._at(path)
        with storage(where):
            return os.listdir(where) if where.is_dir() else ()  # noqa: PTH208 - names suffice

    def list(self, path: str = "") -> Sequence[Entry]:
        """What is directly in a directory."""
        where, entries = self._at(path), []
        for name in sorted(self.names(path)):
            with storage(where), suppress(FileNotFoundError):  # it went while we looked
                about = (where / name).stat()
                is_dir = stat.S_ISDIR(about.st_mode)
                entries.append(Entry(name, is_dir, 0 if is_dir else about.st_size))
        return entries

    def size(self, path: str) -> int | None:
        """Bytes of a file."""
        where = self._at(path)
        with storage(where):
            return where.stat().st_size if where.is_file() else None

    def read(self, path: str, start: int = 0, length: int | None = None) -> bytes | None:
        """Bytes of a file."""
        where = self._at(path)
        with storage(where):
            if not where.is_file():
                return None
            with where.open("rb") as file:
                file.seek(start)
                return file.read() if length is None else file.read(length)

    def create(self, path: str, content: bytes) -> bool:
        """Make a file unless there is one: write it aside, fsync, link it to its name, fsync the directory."""
        where, aside = self._at(path), self._at(hidden_beside(path))
        with storage(where):
            make_directories(where.parent)
            if where.exists():
                return where.read_bytes() == content
            try:
                write_file(aside, lambda file: file.write(content))
                if not _linked(aside, where) and where.read_bytes() != content:
                    return False
            finally:
                aside.unlink(missing_ok=True)
            sync_directory(where.parent)
        return True

    def upload(self, source: Path, path: str) -> None:
        """Copy a local file to a path."""
        where, aside = self._at(path), self._at(hidden_beside(path))
        with storage(where):
            make_directories(where.parent)
            try:
                _copy(source, aside, lambda _: None)
                os.replace(aside, where)  # noqa: PTH105 - Path.replace says the same by another name
            except BaseException:
                aside.unlink(missing_ok=True)
                raise
            sync_directory(where.parent)

    def download(self, path: str, into: Path, on_block: Callable[[bytes], object] = lambda _: None) -> bool:
        """Copy a file into a new local one."""
        where = self._at(path)
        with storage(where):
            if not where.is_file():
                return False
            _copy(where, into, on_block)
        return True

    def move(self, path: str, to: str) -> bool:
        """Rename; of several processes that move to one name, one succeeds: a directory in its way is never replaced
        unless it is empty, and a file's name is made by a link."""
        source, target = self._at(path), self._at(to)
        with storage(target):
            make_directories(target.parent)
            if target.exists():
                return not source.exists()
            try:
                if source.is_dir():
                    os.rename(source, target)  # noqa: PTH104 - Path.rename says the same by another name
                else:
                    os.link(source, target)
                    source.unlink()
            except OSError as error:
                if error.errno not in _EXISTS:
                    raise
                return False
            sync_directory(target.parent)
            sync_directory(source.parent)
        return True

    def delete(self, path: str) -> None:
        """Remove a file, or a directory with all in it."""
        where = self._at(path)
        with storage(where):
            if where.is_dir() and not where.is_symlink():
                shutil.rmtree(where)
            elif where.exists():
                where.unlink(missing_ok=True)
            else:
                return
            sync_directory(where.parent)

    def settle(self, path: str) -> None:
        """Fsync; of the root, its own name too."""
        where = self._at(path)
        with storage(where):
            sync_directory(where)
            if not path:
                sync_directory(where.parent)

    def _at(self, path: str) -> Path:
        return self._root / below(path)


def _linked(aside: Path, where: Path) -> bool:
    """Give a file its name unless there is one of this name.

    Where there is, its writer may have swept our file already. Over NFS that writer may be ourselves: when the answer
    to a call gets lost, the call is repeated.
    """
    try:
        os.link(aside, where)
    except (FileExistsError, FileNotFoundError):
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        raise ConfigError(f"{where.parent}: no hard links here ({error}); use another file system") from error
    return True


def _copy(source: Path, target: Path, on_block: Callable[[bytes], object]) -> None:
    def write(file: DurableFile) -> None:
        with source.open("rb") as reading:
            while block := reading.read(_BLOCK_BYTES):
                file.write(block)
                on_block(block)

    write_file(target, write)
