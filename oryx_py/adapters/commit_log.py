"""A commit log in a directory of the local file system: one file a commit, created only if absent.

A commit is a file of twelve digits and ``.json``: a line of JSON with its number, the xxh3_128 of its payload and a
random name of its writer, then the payload. To append:

1. write a hidden temporary file and fsync it;
2. ``link`` it to the number's name, which fails where that exists: the commit;
3. fsync the directory;
4. remove the temporary name, and those that lost or died at this number or below.

Fails 1: there is no commit; the leftover is hidden, and swept by the next commit of that number. Fails 2: another
writer was first. Fails 3: there is no commit, or a whole one; reading again tells. Fails 4: the hidden leftover stays.
"""

import errno
import os
import re
import secrets
from pathlib import Path

import msgspec
import xxhash

from oryx_py.errors import CommitConflict, ConfigError, CorruptLog
from oryx_py.model.files import make_directories, storage, sync_directory, write_file
from oryx_py.ports.store import Commit

__all__ = ["LocalCommitLog"]

_NAME = re.compile(r"(\d{12})\.json")
_TEMPORARY = re.compile(r"\.(\d{12})\.[0-9a-f]+\.tmp")


_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}


class _Header(msgspec.Struct, frozen=True):
    commit: int
    xxh3_128: str
    writer: str


class LocalCommitLog:
    """The `CommitLog` in a directory, which is created by the first append.

    The file system must have hard links, as those of Linux, macOS and NFS do. Hidden files are ignored; any other that
    is not a commit stops the reader, since it may be a commit of a newer version or a damaged name.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def read(self, after: int = 0) -> list[Commit]:
        """The commits with numbers above ``after``, ascending.

        Raises:
            CorruptLog: one is missing between others, damaged, or the directory has what is no commit.
            StoreUnavailable: the disk does not give the files.
        """
        with storage(self._directory):
            # By number, not by name: a listing may miss a file that was created while it ran, and show a later one.
            return [self._commit(number) for number in range(after + 1, self._last() + 1)]

    def append(self, number: int, payload: bytes) -> None:
        """Add the commit of this number, which is durable when this returns.

        Raises:
            CommitConflict: a commit of this number exists; nothing was changed.
            ConfigError: the file system has no hard links.
            StoreUnavailable: the disk does not take the file.
            ValueError: the commit before this one does not exist.
        """
        with storage(self._directory):
            make_directories(self._directory)
            path = self._path(number)
            if number < 1 or (number > 1 and not self._path(number - 1).exists()):
                raise ValueError(f"commit {number} does not follow the last one in {self._directory}")
            if path.exists():
                raise CommitConflict(f"{path} exists")
            header = _Header(number, xxhash.xxh3_128_hexdigest(payload), secrets.token_hex(8))
            temporary = self._directory / f".{number:012d}.{header.writer}.tmp"
            write_file(temporary, lambda file: file.write(msgspec.json.encode(header) + b"\n" + payload))
            self._link(temporary, path, header)
            sync_directory(self._directory)
            self._sweep(number)

    def _link(self, temporary: Path, path: Path, header: _Header) -> None:
        try:
            os.link(temporary, path)
        except (FileExistsError, FileNotFoundError):
            # It exists, and its writer may have swept our file already. Over NFS that writer may be ourselves: when the
            # answer to a call gets lost, the call is repeated.
            temporary.unlink(missing_ok=True)
            if _header(path.read_bytes(), path) != header:
                raise CommitConflict(f"{path} was committed by another process") from None
        except OSError as error:
            temporary.unlink(missing_ok=True)
            if error.errno not in _NO_LINKS:
                raise
            raise ConfigError(f"{self._directory}: no hard links here ({error}); use another file system") from error

    def _sweep(self, committed: int) -> None:
        """Remove temporary files that can no longer become commits."""
        for name in os.listdir(self._directory):  # noqa: PTH208 - names suffice
            found = _TEMPORARY.fullmatch(name)
            if found and int(found[1]) <= committed:
                (self._directory / name).unlink(missing_ok=True)

    def _last(self) -> int:
        """The highest number there is, 0 where there is none."""
        last = 0
        for name in os.listdir(self._directory) if self._directory.exists() else ():  # noqa: PTH208 - names suffice
            if name.startswith("."):
                continue
            if not (found := _NAME.fullmatch(name)):
                raise CorruptLog(f"{self._directory / name} is no commit that this version knows: move it away")
            last = max(last, int(found[1]))
        return last

    def _commit(self, number: int) -> Commit:
        path = self._path(number)
        try:
            raw = path.read_bytes()
        except FileNotFoundError:
            raise CorruptLog(f"{path} is missing, with later ones there: restore it from a copy") from None
        header = _header(raw, path)
        payload = raw.partition(b"\n")[2]
        if (header.commit, header.xxh3_128) != (number, xxhash.xxh3_128_hexdigest(payload)):
            raise CorruptLog(f"{path} is damaged, its number or checksum is another: restore it from a copy")
        return Commit(number, payload)

    def _path(self, number: int) -> Path:
        return self._directory / f"{number:012d}.json"


def _header(raw: bytes, path: Path) -> _Header:
    try:
        return msgspec.json.decode(raw.partition(b"\n")[0], type=_Header)
    except (msgspec.MsgspecError, ValueError) as error:
        raise CorruptLog(f"{path} is damaged ({error}): restore it from a copy") from None
