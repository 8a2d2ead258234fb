"""Which files of the history are dropped for their age or number. Pure.

Rows go from the front of the fold alone: first what was imported, then by commit and day of arrival, until one has to
stay. So no delete or forget goes while a row that it removes is still there, and what is left is what was said since.
Forgets are carried on (`batch_layer.housekeeping.carried_forgets`), for what is imported later.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from batch_layer.history.file_footers import day_of
from oryx_py.model.history.commits import History, HistoryCommit, HistoryFile

__all__ = ["Limits", "Portion", "droppable", "portions"]

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Limits:
    """How much history is kept.

    ``max_age_days``: days of arrival before the day of the newest row; ``max_rows``: rows; 0 keeps everything.
    """

    max_age_days: int = 0
    max_rows: int = 0


@dataclass(frozen=True, slots=True)
class Portion:
    """Rows that are dropped together: those of one commit that arrived on one day, or of several in merged files.

    ``last_ms`` is the newest arrival; ``ends``, by partition, the first offset of the topic that the commits lack.
    """

    files: tuple[HistoryFile, ...]
    last_ms: int
    ends: Mapping[int, int]

    @property
    def rows(self) -> int:
        """How many there are."""
        return sum(file.rows for file in self.files)

    @property
    def day(self) -> str:
        """The day of arrival, UTC."""
        return day_of(self.last_ms)


def portions(history: History, commits: Iterable[HistoryCommit]) -> list[Portion]:
    """Return the history's files in the order of the fold, imports first; forgets that were carried on are none's.

    Args:
        history: as of the last of the commits.
        commits: all of them.
    """
    by_number = {commit.number: commit for commit in commits}

    def place(file: HistoryFile) -> tuple[bool, int, str]:
        return by_number[file.origin].kind != "import", file.origin, day_of(_arrived(file, by_number))

    found = []
    of_rows = [file for file in history.files if not file.carried]
    for (_, origin, _), files in groupby(sorted(of_rows, key=place), place):
        kept = tuple(files)
        since = min(file.first_commit for file in kept)
        told = (by_number[number].input.items() for number in range(since, origin + 1))
        ends = {partition: end for spans in told for partition, (_, end) in spans}
        found.append(Portion(kept, max(_arrived(file, by_number) for file in kept), ends))
    return found


def droppable(found: Sequence[Portion], limits: Limits, needed: Mapping[int, int], now_ms: int) -> list[HistoryFile]:
    """Return the files to drop, in the order of the fold.

    By age, whole days go that lie before the oldest day to keep, counted back from the newest row: what the clock says
    has a part in it only where a row is newer, since a broker whose clock once was years ahead must not cost the rest.
    By number, whole days go as long as no fewer rows are left than are to be kept.

    Args:
        found: what `portions` returns.
        limits: what the settings keep.
        needed: by partition the first offset that some generation's reader may still want from the history.
        now_ms: since 1970.
    """
    newest_ms = min(now_ms, max((portion.last_ms for portion in found), default=0))
    oldest_day = day_of(newest_ms - limits.max_age_days * DAY_MS)
    left = sum(portion.rows for portion in found)
    dropped: list[HistoryFile] = []
    for day, of_day in groupby(found, lambda portion: portion.day):
        together = list(of_day)
        rows = sum(portion.rows for portion in together)
        old = bool(limits.max_age_days) and day < oldest_day
        many = bool(limits.max_rows) and left - rows >= limits.max_rows
        wanted = any(end > needed.get(p, end) for portion in together for p, end in portion.ends.items())
        if not (old or many) or wanted:
            break
        left -= rows
        dropped += [file for portion in together for file in portion.files]
    return dropped


def _arrived(file: HistoryFile, commits: Mapping[int, HistoryCommit]) -> int:
    """The newest arrival; where a file does not say, nothing in it came after its commit."""
    return commits[file.origin].time_ms if file.last_ms is None else file.last_ms
