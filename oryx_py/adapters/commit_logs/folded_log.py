"""What a commit log comes to, remembered, so that a look costs what is new."""

from collections.abc import Callable, Iterable
from typing import Generic, Protocol, TypeVar

from oryx_py.ports.store import Commit, CommitLog

__all__ = ["FoldedLog"]


class Numbered(Protocol):
    """What commits are folded into."""

    @property
    def number(self) -> int:
        """The last commit's, 0 before the first."""
        ...


T = TypeVar("T", bound=Numbered)


class FoldedLog(Generic[T]):
    """A commit log and what it comes to; threads may share it.

    Commits never change, so what was folded stands while the newest commit that it has is still the one there: that is
    read again. Where it is another, the log has been put back or begun anew, and all of it is folded again.

    Args:
        log: of commits.
        fold: applies commits onto what was seen, None for nothing; returns that itself where there are no commits.
    """

    def __init__(self, log: CommitLog, fold: Callable[[Iterable[Commit], T | None], T]) -> None:
        self._log, self._fold = log, fold
        self._last: tuple[T, Commit] | None = None

    def read(self, seen: T | None) -> T:
        """Return what the log comes to now; with what was ``seen``, that is believed, and only later commits are read.

        Raises:
            CorruptLog: a commit is missing, damaged, or does not follow those before it.
        """
        if seen is not None:
            return self._fold(self._log.read(after=seen.number), seen)
        if self._last is not None:
            folded, newest = self._last
            found = self._log.read(after=newest.number - 1)
            if found and found[0] == newest:
                return self._remembered(found[1:], folded)
        return self._remembered(self._log.read(), None)

    def append(self, folded: T, payload: bytes) -> None:
        """Add the commit that made it of what was seen.

        Raises:
            CommitConflict: a commit of this number exists.
        """
        self._log.append(folded.number, payload)
        self._last = folded, Commit(folded.number, payload)

    def _remembered(self, commits: list[Commit], seen: T | None) -> T:
        folded = self._fold(commits, seen)
        if commits:
            self._last = folded, commits[-1]
        return folded
