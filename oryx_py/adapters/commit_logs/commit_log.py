"""A commit log in a directory of any file system that creates exclusively: one file a commit.

A commit is a file of twelve digits and ``.json``: a line of JSON with its number, the xxh3_128 of its payload and a
random name of its writer, then the payload. To append:

1. `Files.create` the number's name: written aside, durable, and named only if nobody else was first: the commit;
2. remove what writers left aside that lost or died at this number or below;
3. after each thousandth, copy those that are in no pack into packs (`oryx_py.adapters.commit_logs.commit_packs`).

Fails 1: there is no commit, or a whole one; reading again tells. What was written aside is hidden, and swept by the
next commit of that number. Fails 2: the hidden leftovers stay. Fails 3: a first reader asks for each commit, and what
is left of a pack is swept a thousand commits later.
"""

import posixpath
import re
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from oryx_py.adapters.commit_logs.commit_file import Header, decode_commit_file, encode_commit_file
from oryx_py.adapters.commit_logs.commit_packs import PACKED, Packs, Told
from oryx_py.adapters.file_systems.local_files import LocalFiles
from oryx_py.errors import CommitConflict, CorruptLog, OryxError
from oryx_py.ports.files import Files
from oryx_py.ports.store import Commit

__all__ = ["FileCommitLog", "LocalCommitLog"]

_NAME = re.compile(r"(\d{12})\.json")
_KNOWN_BYTES = 16 << 20
_TEMPORARY = re.compile(r"\.(\d{12})(?:\.json)?\.[0-9a-f]+\.tmp")
_TEMPORARY_PACK = re.compile(r"\.\.(\d{12})\.pack\.[0-9a-f]+\.tmp")


class FileCommitLog:
    """The `CommitLog` in a directory, which is created by the first append.

    Hidden files are ignored; any other that is not a commit stops the reader, since it may be a commit of a newer
    version or a damaged name.

    What was read or written is remembered, the newest up to some bytes, as each file costs several questions to a
    remote system. Commits never change, so the newest one that is remembered stands for those before it: it is read
    again, and where it is another, by its writer, the log has been put back or begun anew, and nothing is remembered.

    Args:
        files: exclusive ones.
        folder: the directory's path.
    """

    def __init__(self, files: Files, folder: str = "") -> None:
        self._files = files
        self._folder = folder
        self._packs = Packs(files, folder)
        self._known: dict[int, Told] = {}
        self._known_bytes = 0
        self._known_from = 1
        """What is older is not remembered."""
        self._changing = threading.Lock()

    def read(self, after: int = 0) -> list[Commit]:
        """The commits with numbers above ``after``, ascending.

        Where the next one after these is not there, nothing is new, which one question tells: not that it is missing
        between others, which reading all of them does.

        Raises:
            CorruptLog: one is missing between others, damaged, or the directory has what is no commit.
            StoreUnavailable: the system does not give the files.
        """
        if after > 0 and self._files.size(self._path(after + 1)) is None:
            return []
        # By number, not by name: a listing may miss a file that was created while it ran, and show a later one.
        names = self._files.names(self._folder)
        listed = self._listed(names)
        last = max(listed, default=0)
        numbers = range(after + 1, last + 1)
        known = dict(self._still_known(after, last))
        for end in self._packs.among(names):
            if after <= end - PACKED and end <= last and end - PACKED + 1 not in known:
                known |= self._unpacked(end)
        return [known[n][1] if n in known and n in listed else self._read(n) for n in numbers]

    def append(self, number: int, payload: bytes) -> None:
        """Add the commit of this number, which is durable when this returns.

        Raises:
            CommitConflict: a commit of this number exists; nothing was changed.
            ConfigError: the system cannot create exclusively.
            StoreUnavailable: the system does not take the file.
            ValueError: the commit before this one does not exist.
        """
        path = self._path(number)
        if number < 1 or (number > 1 and self._files.size(self._path(number - 1)) is None):
            raise ValueError(f"commit {number} does not follow the last one in {self._files.uri(self._folder)}")
        commit = Commit(number, payload)
        header, content = encode_commit_file(commit)
        if not self._files.create(path, content):
            raise CommitConflict(f"{self._files.uri(path)} was committed by another process")
        self._remember(header, commit)
        self._sweep(number)
        if number % PACKED == 0:
            self._pack(number)

    def _sweep(self, committed: int) -> None:
        """Remove temporary files that can no longer become commits."""
        for name in self._files.names(self._folder):
            commit, pack = _TEMPORARY.fullmatch(name), _TEMPORARY_PACK.fullmatch(name)
            # A pack is written after its last commit, while others go on committing: it is left alone until the next.
            if (commit and int(commit[1]) <= committed) or (pack and int(pack[1]) + PACKED <= committed):
                self._files.delete(posixpath.join(self._folder, name))

    def _listed(self, names: Iterable[str]) -> set[int]:
        """The numbers of the commits that the directory shows."""
        listed = set()
        for name in names:
            if name.startswith("."):
                continue
            if not (found := _NAME.fullmatch(name)):
                where = self._files.uri(posixpath.join(self._folder, name))
                raise CorruptLog(f"{where} is no commit that this version knows: move it away")
            listed.add(int(found[1]))
        return listed

    def _unpacked(self, end: int) -> Mapping[int, Told]:
        found = self._packs.read(end, lambda number: self._told(number)[0])
        for header, commit in found.values():
            self._remember(header, commit)
        return found

    def _read(self, number: int) -> Commit:
        header, commit = self._told(number)
        self._remember(header, commit)
        return commit

    def _told(self, number: int) -> Told:
        path = self._path(number)
        where, raw = self._files.uri(path), self._files.read(path)
        if raw is None:
            raise CorruptLog(f"{where} is missing, with later ones there: restore it from a copy")
        return decode_commit_file(raw, number, where)

    def _pack(self, last: int) -> None:
        """Pack the commits up to this one, and those before that are in no pack."""
        with suppress(OryxError):  # what was committed is; a later one packs them
            packed = self._packs.among(self._files.names(self._folder))
            for end in sorted({*range(PACKED, last, PACKED)} - {*packed} | {last}):
                known = self._still_known(end - PACKED, last)
                numbers = range(end - PACKED + 1, end + 1)
                self._packs.write(end, [known.get(number) or self._told(number) for number in numbers])

    def _remember(self, header: Header, commit: Commit) -> None:
        with self._changing:
            if commit.number < self._known_from or commit.number in self._known:
                return
            self._known[commit.number] = header, commit
            self._known_bytes += len(commit.payload)
            while self._known_bytes > _KNOWN_BYTES:
                if oldest := self._known.pop(self._known_from, None):
                    self._known_bytes -= len(oldest[1].payload)
                self._known_from += 1

    def _still_known(self, after: int, last: int) -> Mapping[int, Told]:
        """What is remembered above ``after``, unless it is of another log than the one that is there now."""
        with self._changing:
            known = {number: self._known[number] for number in range(after + 1, last + 1) if number in self._known}
            newest = max(self._known, default=0)
            header = self._known[newest][0] if newest > after else None
        if header is None or (newest <= last and self._told(newest)[0] == header):
            return known
        with self._changing:
            self._known, self._known_bytes, self._known_from = {}, 0, 1
        return {}

    def _path(self, number: int) -> str:
        return posixpath.join(self._folder, f"{number:012d}.json")


class LocalCommitLog(FileCommitLog):
    """The `CommitLog` in a directory of the local file system, which must have hard links."""

    def __init__(self, directory: Path) -> None:
        super().__init__(LocalFiles(directory))
