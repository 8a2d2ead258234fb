"""The history's commits on a commit log."""

from collections.abc import Mapping, Sequence

from oryx_py.model.history import History, HistoryCommit, HistoryFile, encode_commit
from oryx_py.ports.store import CommitLog

__all__ = ["HistoryLog"]


class HistoryLog:
    """Reads the history's commits and adds to them; of two processes that add at once, one is told to look again."""

    def __init__(self, log: CommitLog) -> None:
        self._log = log

    def read(self, seen: History | None = None) -> History:
        """The history now; with what was ``seen`` before, only what came since is read.

        Raises:
            CorruptLog: a commit is missing, damaged, or does not follow those before it.
            UnsupportedFormat: a commit was written by a newer version.
        """
        return History.fold(self._log.read(after=seen.number if seen else 0), seen)

    def append(
        self,
        seen: History,
        files: Sequence[HistoryFile],
        input: Mapping[int, tuple[int, int]],  # noqa: A002 - the commit's own word
        rejected: int,
        time_ms: int,
    ) -> History:
        """Add files that are complete and durable, with the offsets ``[from, to)`` that they cover.

        Raises:
            CommitConflict: the history has changed since ``seen``; the files are rubbish: read it, start over.
            ValueError: the offsets do not begin where those seen end, or a file is named twice.
        """
        commit = HistoryCommit(
            number=seen.number + 1, files=tuple(files), input=dict(input), rejected=rejected, time_ms=time_ms
        )
        history = seen.after(commit)
        self._log.append(commit.number, encode_commit(commit))
        return history
