"""The history's commits on a commit log."""

from collections.abc import Mapping, Sequence

from oryx_py.adapters.commit_logs.folded_log import FoldedLog
from oryx_py.errors import CommitConflict
from oryx_py.model.history.commits import (
    History,
    HistoryCommit,
    HistoryFile,
    ImportedSource,
    Kind,
    decode_commit,
    encode_commit,
)
from oryx_py.ports.store import CommitLog

__all__ = ["HistoryLog"]


class HistoryLog:
    """Reads the history's commits and adds to them; of two processes that add at once, one is told to look again."""

    def __init__(self, log: CommitLog) -> None:
        self._log = log
        self._folded = FoldedLog(log, History.fold)

    def read(self, seen: History | None = None) -> History:
        """The history now; with what was ``seen`` before, that is believed and only what came since is read.

        Raises:
            CorruptLog: a commit is missing, damaged, or does not follow those before it.
            UnsupportedFormat: a commit was written by a newer version.
        """
        return self._folded.read(seen)

    def commits(self, after: int = 0) -> list[HistoryCommit]:
        """The commits with numbers above ``after``, ascending.

        Raises:
            CorruptLog: a commit is missing or damaged.
            UnsupportedFormat: a commit was written by a newer version.
        """
        return [decode_commit(commit) for commit in self._log.read(after=after)]

    def append(
        self,
        seen: History,
        files: Sequence[HistoryFile],
        input: Mapping[int, tuple[int, int]],  # noqa: A002 - the commit's own word
        rejected: int,
        time_ms: int,
        *,
        kind: Kind = "input",
        imported: Mapping[int, tuple[int, int]] | None = None,
        sources: Sequence[ImportedSource] = (),
        dropped: Sequence[str] = (),
    ) -> History:
        """Add files that are complete and durable, with the offsets ``[from, to)`` that they cover.

        ``imported``, ``sources`` and ``dropped`` as in `HistoryCommit`; what was dropped, the next sweep takes.

        Raises:
            CommitConflict: the history has changed since ``seen``; the files are rubbish: read it, start over.
            ValueError: the offsets do not begin where those seen end, a file is named twice, or one to drop is missing.
        """
        commit = HistoryCommit(
            number=seen.number + 1,
            files=tuple(files),
            input=dict(input),
            rejected=rejected,
            time_ms=time_ms,
            kind=kind,
            imported=dict(imported or {}),
            sources=tuple(sources),
            dropped=tuple(dropped),
        )
        history = seen.after(commit)
        try:
            self._folded.append(history, encode_commit(commit))
        except CommitConflict as taken:
            raise CommitConflict(
                f"{taken}: it has taken over from this one, of which nothing was added to the history; run it again"
            ) from taken
        return history
