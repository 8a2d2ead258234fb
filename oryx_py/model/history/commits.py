"""The history's log: which files of rows there are, and which input offsets they cover.

Each commit adds the files of one span of offsets; files that no commit names are rubbish. This module folds the log and
does no I/O (`oryx_py.adapters.commit_logs.history_log`).

Rows that were imported have offsets of their own, from `IMPORTED_FROM` upwards in each partition: all below 0, so that
they come before everything that the topic has, in the order of their imports.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

import msgspec

from oryx_py.errors import CorruptLog
from oryx_py.model.epochs.registry import NumberedCommit
from oryx_py.model.summed import check_format

__all__ = [
    "FORMAT",
    "IMPORTED_FROM",
    "History",
    "HistoryCommit",
    "HistoryFile",
    "ImportedSource",
    "Kind",
    "decode_commit",
    "encode_commit",
]

FORMAT = "3.0"
"""Of commits with merged files, and what this version reads."""
_PLAIN_FORMAT = "1.2"
_REFOLDED_FORMAT = "2.1"
"""Of commits that an earlier version reads as well; it would read the rows of the others wrongly."""

IMPORTED_FROM = -(1 << 40)
"""The first offset of imported rows: room for 10¹² in each partition."""

Kind = Literal["input", "import", "rewrite", "retention", "merge"]
"""What a commit does: adds what is new in the topic, adds imported rows, puts files in the place of others without what
was forgotten, drops files for their age or number, or puts few files in the place of many, with the same rows."""


class HistoryFile(msgspec.Struct, frozen=True):
    """A data file: its path below the history's root, with ``/``, its rows and its size in bytes.

    ``first_ms`` and ``last_ms``: the oldest and the newest Kafka timestamp in it, since 1970; None where the file was
    committed by a version that did not say. ``origin`` is the commit whose rows it has, where it stands in the place of
    another file; 0 in a commit means this commit itself. ``since``: the oldest such commit, where it has rows of
    several, of which ``origin`` is the newest; 0 where it has not. ``forgets``: whether forgets are among its rows;
    None where nobody said. ``carried``: whether it has nothing but forgets whose own files were dropped, and that stay.
    """

    path: str
    rows: int
    bytes: int
    first_ms: int | None = None
    last_ms: int | None = None
    origin: int = 0
    forgets: bool | None = None
    since: int = 0
    carried: bool = False

    @property
    def first_commit(self) -> int:
        """The oldest commit whose rows it has, once ``origin`` is known."""
        return self.since or self.origin


class ImportedSource(msgspec.Struct, frozen=True):
    """A file that was imported: its name, and a digest of what it had, by which it is known again."""

    name: str
    digest: str


class HistoryCommit(msgspec.Struct, frozen=True, kw_only=True):
    """One commit: files, and by input partition the offsets ``[from, to)`` that they cover.

    ``rejected`` counts the records of that span that are dead letters and in no file. ``time_ms`` since 1970, UTC.
    ``imported``: the same as ``input`` for imported rows, whose offsets are negative; ``sources``: the files that
    these are from. ``dropped`` are the paths of files that count no longer.
    """

    format: str = FORMAT
    number: int
    files: tuple[HistoryFile, ...]
    input: dict[int, tuple[int, int]]
    rejected: int
    time_ms: int
    kind: Kind = "input"
    imported: dict[int, tuple[int, int]] = {}
    sources: tuple[ImportedSource, ...] = ()
    dropped: tuple[str, ...] = ()


def encode_commit(commit: HistoryCommit) -> bytes:
    """The payload of a commit, in the lowest format that says it."""
    return msgspec.json.encode(msgspec.structs.replace(commit, format=_format_of(commit)))


def _format_of(commit: HistoryCommit) -> str:
    if commit.kind == "merge" or any(file.since for file in commit.files):
        return FORMAT
    return _PLAIN_FORMAT if commit.kind == "input" else _REFOLDED_FORMAT


def decode_commit(commit: NumberedCommit) -> HistoryCommit:
    """A commit of the history; keys that this version does not know are ignored.

    Raises:
        CorruptLog: it is none.
        UnsupportedFormat: it was written by a newer version.
    """
    try:
        check_format(commit.payload, f"commit {commit.number} of the history", FORMAT)
        return msgspec.json.decode(commit.payload, type=HistoryCommit)
    except (msgspec.MsgspecError, ValueError) as error:
        raise CorruptLog(
            f"commit {commit.number} of the history cannot be read ({error}): restore it from a copy"
        ) from None


@dataclass(frozen=True, slots=True)
class History:
    """The history as of one commit; ``number`` is that commit's, 0 before the first.

    ``files`` in the order of the commits that named them, each with its ``origin``. ``start`` and ``offsets``: by input
    partition the first offset covered, and the first one not covered any more. ``rows`` in all files; ``rejected``
    records, which are in none. ``imported``: by partition the end of the imported rows' offsets, where there are any.
    ``imports`` are the commits of imported rows. ``refolded``: the newest commit after which the fold is not that of
    the commit before with new rows behind it, since it put rows before others or dropped some; 0 for none.
    ``replaced``: files that the newest merge put others in the place of, and that are there still for who reads an
    older state; whoever takes files out next removes them before.
    """

    number: int = 0
    files: tuple[HistoryFile, ...] = ()
    start: Mapping[int, int] = field(default_factory=lambda: MappingProxyType({}))
    offsets: Mapping[int, int] = field(default_factory=lambda: MappingProxyType({}))
    rows: int = 0
    rejected: int = 0
    imported: Mapping[int, int] = field(default_factory=lambda: MappingProxyType({}))
    imports: frozenset[int] = frozenset()
    refolded: int = 0
    replaced: tuple[HistoryFile, ...] = ()

    @classmethod
    def fold(cls, commits: Iterable[NumberedCommit], seen: "History | None" = None) -> "History":
        """Apply commits in their order, onto what was ``seen`` or from the first one; time grows as what they say.

        Where there are none, it is what was ``seen``.

        Raises:
            CorruptLog: a commit cannot be read, is out of order, or leaves a hole between its offsets and those before.
            UnsupportedFormat: a commit was written by a newer version.
        """
        seen = seen or cls()
        folding: _Folding | None = None
        for commit in commits:
            folding = folding or _Folding(seen)
            if commit.number != folding.number + 1:
                raise CorruptLog(f"commit {commit.number} of the history follows commit {folding.number}")
            try:
                folding.add(decode_commit(commit))
            except ValueError as error:
                raise CorruptLog(f"commit {commit.number} of the history: {error}; restore it from a copy") from None
        return folding.history() if folding else seen

    def after(self, commit: HistoryCommit) -> "History":
        """The history after one more commit.

        Raises:
            ValueError: it is not the next one, does not begin where the last one ended, names a file again, or drops
                one that there is not.
        """
        folding = _Folding(self)
        folding.add(commit)
        return folding.history()

    @property
    def input(self) -> dict[int, tuple[int, int]]:
        """By input partition the offsets ``[from, to)`` that the history covers, as a manifest states them."""
        return {partition: (self.start[partition], end) for partition, end in self.offsets.items()}


class _Folding:
    """A history that commits are added to in place, each at the cost of what it says, not of all before it."""

    def __init__(self, seen: History) -> None:
        self.number = seen.number
        self._files = {file.path: file for file in seen.files}
        self._start, self._offsets, self._imported = dict(seen.start), dict(seen.offsets), dict(seen.imported)
        self._rows, self._rejected = seen.rows, seen.rejected
        self._imports, self._refolded = set(seen.imports), seen.refolded
        self._replaced = seen.replaced

    def add(self, commit: HistoryCommit) -> None:
        """Apply the next commit; where it raises ValueError, as `History.after`, nothing more is to be added."""
        if commit.number != self.number + 1:
            raise ValueError(f"it says it is commit {commit.number}, not {self.number + 1}")
        _check_follows(commit.input, self._offsets, None)
        _check_follows(commit.imported, self._imported, IMPORTED_FROM)
        if any(end > 0 for _, end in commit.imported.values()):
            raise ValueError("imported rows reach into the topic's offsets")
        self._replace(commit)
        self.number = commit.number
        for partition, (start, end) in commit.input.items():
            self._start.setdefault(partition, start)
            self._offsets[partition] = end
        self._imported |= {partition: end for partition, (_, end) in commit.imported.items()}
        self._rejected += commit.rejected
        if commit.kind == "import":
            self._imports.add(commit.number)
        if commit.kind in {"import", "retention"}:
            self._refolded = commit.number

    def _replace(self, commit: HistoryCommit) -> None:
        """Take out the files that are dropped, and put the new ones at the end; none of these may have been there."""
        gone = dict.fromkeys(commit.dropped)
        if missing := [path for path in gone if path not in self._files]:
            raise ValueError(f"{min(missing)} is not there to be dropped")
        added: dict[str, HistoryFile] = {}
        for file in commit.files:
            if file.path in self._files or file.path in added:
                raise ValueError(f"{file.path} was committed before")
            named = msgspec.structs.replace(file, origin=file.origin or commit.number)
            if named.first_commit > named.origin:
                raise ValueError(f"{file.path} has rows since commit {named.since}, and none after {named.origin}")
            added[file.path] = named
        taken = [self._files.pop(path) for path in gone]
        self._rows -= sum(file.rows for file in taken)
        if commit.kind in {"merge", "rewrite", "retention"}:
            self._replaced = tuple(taken) if commit.kind == "merge" else ()
        self._files |= added
        self._rows += sum(file.rows for file in added.values())

    def history(self) -> History:
        """What the commits come to."""
        return History(
            number=self.number,
            files=tuple(self._files.values()),
            start=MappingProxyType(self._start),
            offsets=MappingProxyType(self._offsets),
            rows=self._rows,
            rejected=self._rejected,
            imported=MappingProxyType(self._imported),
            imports=frozenset(self._imports),
            refolded=self._refolded,
            replaced=self._replaced,
        )


def _check_follows(spans: Mapping[int, tuple[int, int]], ends: Mapping[int, int], first: int | None) -> None:
    for partition, (start, end) in spans.items():
        expected = ends.get(partition, start if first is None else first)
        if start != expected or end < start:
            raise ValueError(f"partition {partition}: offsets {start}–{end} do not follow {expected}")
