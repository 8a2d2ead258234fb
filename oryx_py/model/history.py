"""The history's log: which files of rows there are, and which input offsets they cover.

Each commit adds the files of one span of offsets; files that no commit names are rubbish. This module folds the log and
does no I/O (`oryx_py.adapters.history_log`).

Rows that were imported have offsets of their own, from `IMPORTED_FROM` upwards in each partition: all below 0, so that
they come before everything that the topic has, in the order of their imports.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

import msgspec

from oryx_py.errors import CorruptLog
from oryx_py.model.registry import NumberedCommit
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

FORMAT = "2.0"
_PLAIN_FORMAT = "1.1"
"""Of commits that an earlier version reads as well; it would read the rows of the others wrongly."""

IMPORTED_FROM = -(1 << 40)
"""The first offset of imported rows: room for 10¹² in each partition."""

Kind = Literal["input", "import", "rewrite", "retention"]
"""What a commit does: adds what is new in the topic, adds imported rows, puts files in the place of others without what
was forgotten, or drops files for their age or number."""


class HistoryFile(msgspec.Struct, frozen=True):
    """A data file: its path below the history's root, with ``/``, its rows and its size in bytes.

    ``first_ms`` and ``last_ms``: the oldest and the newest Kafka timestamp in it, since 1970; None where the file was
    committed by a version that did not say. ``origin`` is the commit whose rows it has, where it stands in the place of
    another file; 0 in a commit means this commit itself.
    """

    path: str
    rows: int
    bytes: int
    first_ms: int | None = None
    last_ms: int | None = None
    origin: int = 0


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
    format_ = _PLAIN_FORMAT if commit.kind == "input" else FORMAT
    return msgspec.json.encode(msgspec.structs.replace(commit, format=format_))


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

    @classmethod
    def fold(cls, commits: Iterable[NumberedCommit], seen: "History | None" = None) -> "History":
        """Apply commits in their order, onto what was ``seen`` or from the first one.

        Raises:
            CorruptLog: a commit cannot be read, is out of order, or leaves a hole between its offsets and those before.
            UnsupportedFormat: a commit was written by a newer version.
        """
        history = seen or cls()
        for commit in commits:
            if commit.number != history.number + 1:
                raise CorruptLog(f"commit {commit.number} of the history follows commit {history.number}")
            try:
                history = history.after(decode_commit(commit))
            except ValueError as error:
                raise CorruptLog(f"commit {commit.number} of the history: {error}; restore it from a copy") from None
        return history

    def after(self, commit: HistoryCommit) -> "History":
        """The history after one more commit.

        Raises:
            ValueError: it is not the next one, does not begin where the last one ended, names a file again, or drops
                one that there is not.
        """
        if commit.number != self.number + 1:
            raise ValueError(f"it says it is commit {commit.number}, not {self.number + 1}")
        _check_follows(commit.input, self.offsets, None)
        _check_follows(commit.imported, self.imported, IMPORTED_FROM)
        if any(end > 0 for _, end in commit.imported.values()):
            raise ValueError("imported rows reach into the topic's offsets")
        files = self._without(commit.dropped)
        paths = {file.path for file in self.files}
        if again := [file.path for file in commit.files if file.path in paths]:
            raise ValueError(f"{again[0]} was committed before")
        added = tuple(msgspec.structs.replace(file, origin=file.origin or commit.number) for file in commit.files)
        starts = {partition: start for partition, (start, _) in commit.input.items()}
        return History(
            number=commit.number,
            files=files + added,
            start=MappingProxyType({**starts, **self.start}),
            offsets=MappingProxyType({**self.offsets, **_ends(commit.input)}),
            rows=_rows(files) + _rows(added) if commit.dropped else self.rows + _rows(added),
            rejected=self.rejected + commit.rejected,
            imported=MappingProxyType({**self.imported, **_ends(commit.imported)}),
            imports=self.imports | {commit.number} if commit.kind == "import" else self.imports,
            refolded=commit.number if commit.kind in {"import", "retention"} else self.refolded,
        )

    def _without(self, dropped: Sequence[str]) -> tuple[HistoryFile, ...]:
        if not dropped:
            return self.files
        gone = set(dropped)
        if missing := gone - {file.path for file in self.files}:
            raise ValueError(f"{min(missing)} is not there to be dropped")
        return tuple(file for file in self.files if file.path not in gone)

    @property
    def input(self) -> dict[int, tuple[int, int]]:
        """By input partition the offsets ``[from, to)`` that the history covers, as a manifest states them."""
        return {partition: (self.start[partition], end) for partition, end in self.offsets.items()}


def _check_follows(spans: Mapping[int, tuple[int, int]], ends: Mapping[int, int], first: int | None) -> None:
    for partition, (start, end) in spans.items():
        expected = ends.get(partition, start if first is None else first)
        if start != expected or end < start:
            raise ValueError(f"partition {partition}: offsets {start}–{end} do not follow {expected}")


def _rows(files: Sequence[HistoryFile]) -> int:
    return sum(file.rows for file in files)


def _ends(spans: Mapping[int, tuple[int, int]]) -> dict[int, int]:
    return {partition: end for partition, (_, end) in spans.items()}
