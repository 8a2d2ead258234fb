"""Which files of the history are merged: neighbours of one day of arrival, once that day is over. Pure.

Retention drops rows by whole days from the front of the fold, so the rows of a file have to be neighbours there, and of
one day. What is merged falls into the same groups again, of one large file each: every row is rewritten once.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

import msgspec

from batch_layer.housekeeping.row_retention import DAY_MS
from oryx_py.model.history.commits import History, HistoryFile

__all__ = ["SIZES", "Group", "Sizes", "at_once", "numbered", "placed", "to_merge", "together"]


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bounds in rows, of which a million take some 20 MB of a file, and in files.

    ``file``: that a merged file has at most. ``small``: files of fewer on average are merged. ``rows`` and ``files``:
    that are merged at once, unless a single group has more files.
    """

    file: int = 2_000_000
    small: int = 500_000
    rows: int = 20_000_000
    files: int = 10_000


SIZES: Final = Sizes()


@dataclass(frozen=True, slots=True)
class Group:
    """Neighbours of one day; ``since`` and ``origin`` are the oldest and the newest commit whose rows they have."""

    files: tuple[HistoryFile, ...]

    @property
    def since(self) -> int:
        """The oldest commit."""
        return min(file.first_commit for file in self.files)

    @property
    def origin(self) -> int:
        """The newest commit."""
        return max(file.origin for file in self.files)

    @property
    def rows(self) -> int:
        """How many there are."""
        return sum(file.rows for file in self.files)


def to_merge(history: History, sizes: Sizes = SIZES) -> list[Group]:
    """Return the groups that are worth merging, in the order of the fold; none has rows of the newest day."""
    return [group for group in _groups(history, sizes) if _is_worth_it(group, sizes)]


def at_once(groups: Iterable[Group], sizes: Sizes = SIZES) -> list[Group]:
    """Return the first of these groups, as many as are merged at once."""
    taken, rows, files = list[Group](), 0, 0
    for group in groups:
        rows, files = rows + group.rows, files + len(group.files)
        if taken and (rows > sizes.rows or files > sizes.files):
            break
        taken.append(group)
    return taken


def together(files: Iterable[HistoryFile]) -> list[Group]:
    """Return files in groups that have rows of the same commits, in any order."""
    found: dict[tuple[int, int], list[HistoryFile]] = {}
    for file in files:
        found.setdefault((file.first_commit, file.origin), []).append(file)
    return [Group(tuple(group)) for group in found.values()]


def numbered(groups: Iterable[Group]) -> tuple[dict[str, int], list[tuple[int, int]]]:
    """Return by path the number of each file's group, and by number the oldest and the newest commit of its rows."""
    of, spans = dict[str, int](), list[tuple[int, int]]()
    for number, group in enumerate(groups):
        of |= dict.fromkeys((file.path for file in group.files), number)
        spans.append((group.since, group.origin))
    return of, spans


def placed(file: HistoryFile, spans: Sequence[tuple[int, int]]) -> HistoryFile:
    """Return a file that the engine wrote with the commits of its rows, by the directory that it is in.

    Args:
        file: below ``group=<number>/`` of a directory.
        spans: what `numbered` returned.
    """
    told = [name.removeprefix("group=") for name in file.path.split("/") if name.startswith("group=")]
    if len(told) != 1:
        raise ValueError(f"{file.path} does not say whose rows it has")
    since, origin = spans[int(told[0])]
    return msgspec.structs.replace(file, origin=origin, since=since if since < origin else 0)


def _groups(history: History, sizes: Sizes) -> Iterator[Group]:
    """Cut the stretches of one day, but the newest one, into groups of so many rows: between commits, and no finer."""
    stretches = [list(stretch) for _, stretch in groupby(_portions(history), lambda each: each[0])]
    for stretch in stretches[:-1]:
        day = stretch[0][0]
        if day is None:
            continue
        waiting, rows = list[HistoryFile](), 0
        for _, files in stretch:
            more = sum(file.rows for file in files)
            if waiting and rows + more > sizes.file:
                yield Group(tuple(waiting))
                waiting, rows = [], 0
            waiting += files
            rows += more
        yield Group(tuple(waiting))


def _portions(history: History) -> list[tuple[int | None, list[HistoryFile]]]:
    """What came in, in the order in which it is dropped: the day, and the files of one commit, or with rows up to it.

    The day is None for all files of a commit where one does not say that its rows are of one day.
    """
    files = [file for file in history.files if file.origin not in history.imports and not file.carried]
    days = {file.path: _day(file) for file in files}
    vague = {file.origin for file in files if days[file.path] is None}

    def place(file: HistoryFile) -> tuple[int, int]:
        return file.origin, -1 if file.origin in vague else days[file.path] or 0

    found = []
    for (_, day), together in groupby(sorted(files, key=place), place):
        found.append((None if day < 0 else day, list(together)))
    return found


def _day(file: HistoryFile) -> int | None:
    """The day since 1970 on which all of its rows arrived; what has no time belongs to the first."""
    if file.first_ms is None or file.last_ms is None:
        return None
    first, last = (max(0, ms) // DAY_MS for ms in (file.first_ms, file.last_ms))
    return first if first == last else None


def _is_worth_it(group: Group, sizes: Sizes) -> bool:
    """Whether its files are small; rows of one commit alone, of which there are too many for one task, stay."""
    return len(group.files) > 1 and group.rows < min(len(group.files) * sizes.small, sizes.rows + 1)
