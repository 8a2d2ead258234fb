"""The history's log: which files of rows there are, and which input offsets they cover.

Each commit adds the files of one span of offsets; files that no commit names are rubbish. This module folds the log and
does no I/O (`oryx_py.adapters.history_log`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import msgspec

from oryx_py.errors import CorruptLog
from oryx_py.model.manifest import check_format
from oryx_py.model.registry import NumberedCommit

__all__ = ["FORMAT", "History", "HistoryCommit", "HistoryFile", "decode_commit", "encode_commit"]

FORMAT = "1.0"


class HistoryFile(msgspec.Struct, frozen=True):
    """A data file: its path below the history's root, with ``/``, its rows and its size in bytes."""

    path: str
    rows: int
    bytes: int


class HistoryCommit(msgspec.Struct, frozen=True, kw_only=True):
    """One commit: files, and by input partition the offsets ``[from, to)`` that they cover.

    ``rejected`` counts the records of that span that are dead letters and in no file. ``time_ms`` since 1970, UTC.
    """

    format: str = FORMAT
    number: int
    files: tuple[HistoryFile, ...]
    input: dict[int, tuple[int, int]]
    rejected: int
    time_ms: int


def encode_commit(commit: HistoryCommit) -> bytes:
    """The payload of a commit."""
    return msgspec.json.encode(commit)


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

    ``files`` in the order of their commits. ``start`` and ``offsets``: by input partition the first offset covered, and
    the first one not covered any more. ``rows`` in all files; ``rejected`` records, which are in none.
    """

    number: int = 0
    files: tuple[HistoryFile, ...] = ()
    start: Mapping[int, int] = field(default_factory=lambda: MappingProxyType({}))
    offsets: Mapping[int, int] = field(default_factory=lambda: MappingProxyType({}))
    rows: int = 0
    rejected: int = 0

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
            ValueError: it is not the next one, does not begin where the last one ended, or names a file again.
        """
        if commit.number != self.number + 1:
            raise ValueError(f"it says it is commit {commit.number}, not {self.number + 1}")
        for partition, (start, end) in commit.input.items():
            expected = self.offsets.get(partition, start)
            if start != expected or end < start:
                raise ValueError(f"partition {partition}: offsets {start}–{end} do not follow {expected}")
        paths = {file.path for file in self.files}
        if again := [file.path for file in commit.files if file.path in paths]:
            raise ValueError(f"{again[0]} was committed before")
        starts = {partition: start for partition, (start, _) in commit.input.items()}
        ends = {partition: end for partition, (_, end) in commit.input.items()}
        return History(
            number=commit.number,
            files=self.files + commit.files,
            start=MappingProxyType({**starts, **self.start}),
            offsets=MappingProxyType({**self.offsets, **ends}),
            rows=self.rows + sum(file.rows for file in commit.files),
            rejected=self.rejected + commit.rejected,
        )

    @property
    def input(self) -> dict[int, tuple[int, int]]:
        """By input partition the offsets ``[from, to)`` that the history covers, as a manifest states them."""
        return {partition: (self.start[partition], end) for partition, end in self.offsets.items()}
