"""Copies of commits in one file for many, as a first reader would ask for each: hidden, so that they count for nothing.

A pack has the files of the commits up to its number, `PACKED` of them, as they are. The commits' own files stay what
counts: a pack is believed where its last commit is the one that is there, by its writer, since commits never change and
each follows those before it; and each commit in it has its checksum. One that is missing, damaged or of another log
costs time and nothing else.
"""

import posixpath
import re
from collections.abc import Callable, Iterable, Mapping

import msgspec

from oryx_py.adapters.commit_logs.commit_file import Header, as_file, decode_commit_file
from oryx_py.errors import CorruptLog
from oryx_py.ports.files import Files
from oryx_py.ports.store import Commit

__all__ = ["PACKED", "Packs", "Told"]

PACKED = 1000
"""Commits in a pack: some 0.5 MB where each makes an epoch."""

_NAME = re.compile(r"\.(\d{12})\.pack")

Told = tuple[Header, Commit]


class Packs:
    """The packs of a log.

    Args:
        files, folder: where the commits are.
    """

    def __init__(self, files: Files, folder: str) -> None:
        self._files, self._folder = files, folder

    def among(self, names: Iterable[str]) -> list[int]:
        """Return the numbers of the packs that a directory shows, ascending."""
        return sorted(int(found[1]) for name in names if (found := _NAME.fullmatch(name)))

    def read(self, number: int, header_of: Callable[[int], Header]) -> Mapping[int, Told]:
        """Return the commits of a pack; nothing where it cannot be believed.

        Args:
            number: of the pack, which is its last commit's.
            header_of: reads what is said of a commit in its own file.

        Raises:
            CorruptLog: that commit's own file is missing or damaged.
            StoreUnavailable: the system does not give the files.
        """
        path = self._path(number)
        raw, first = self._files.read(path), number - PACKED + 1
        try:
            packed = msgspec.msgpack.decode(raw or b"", type=list[bytes])
            found = {n: decode_commit_file(each, n, self._files.uri(path)) for n, each in enumerate(packed, first)}
        except (msgspec.MsgspecError, CorruptLog):
            return {}
        return found if len(found) == PACKED and found[number][0] == header_of(number) else {}

    def write(self, number: int, told: Iterable[Told]) -> None:
        """Write a pack, in the place of one of a log that was there before.

        Raises:
            StoreUnavailable: the system does not take it: it is as if there were none.
        """
        content = msgspec.msgpack.encode([as_file(header, commit) for header, commit in told])
        self._files.delete(self._path(number))
        self._files.create(self._path(number), content)

    def _path(self, number: int) -> str:
        return posixpath.join(self._folder, f".{number:012d}.pack")
