"""Which forgets are still to be carried out, and which files may have what they forget. Pure.

A run has carried out all forgets of the history as of its generation's commit, in all files of then. What is left:

====================================  ==========================================================================
since the last generation there are   then
====================================  ==========================================================================
new rows                              their forgets are carried out, in all files up to them
imported rows                         all forgets are, in the files of these rows: they come before every forget
dropped rows                          a forget that only repeated one of them counts now
no generation, or other settings of   all forgets are, in all files
what repeats
====================================  ==========================================================================

What was dropped decides about no forget that came more than a window after all of it: a record's clock is its Kafka
timestamp or a newer one, and those of all rows that are gone, and of all rows that they had a part in, are known.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from batch_layer.history.base_generation import in_window, new_since
from oryx_py.events import FoldSettings
from oryx_py.model.generations.manifest import Manifest
from oryx_py.model.history.commits import History, HistoryCommit, HistoryFile

__all__ = ["Outstanding", "dropped_up_to", "outstanding", "reads_anew"]


@dataclass(frozen=True, slots=True)
class Outstanding:
    """Where to look.

    ``told`` has the forgets. ``keyed`` has, with these, all rows that they may repeat; of the partitions in ``starts``
    those from this offset on, before which the clock was the other number. ``searched`` may have what they forget.
    """

    told: Sequence[HistoryFile] = ()
    keyed: Sequence[HistoryFile] = ()
    starts: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    searched: Sequence[HistoryFile] = ()


def outstanding(
    history: History,
    last: Manifest | None,
    fold: FoldSettings,
    dropped_ms: int | None,
    first_in_window: Callable[[Manifest], int],
) -> Outstanding:
    """Return what is outstanding before a generation is made.

    Args:
        history: to make it of.
        last: of the last generation, None where there is none.
        fold: the settings of the one to come.
        dropped_ms: what `dropped_up_to` says of the commits since the last one; None where nothing was dropped.
        first_in_window: the first commit with rows that new ones may repeat; asked where there are new forgets alone.
    """
    if last is not None and reads_anew(last, fold):
        last = None
    new = history.files if last is None else new_since(last.history, history)
    imported = [file for file in new if file.origin in history.imports]
    if last is not None and not imported and dropped_ms is None:
        told = _telling(new)
        if not told:
            return Outstanding()
        before = in_window(last, history, first_in_window(last)) if last.dedupe_from else []
        return Outstanding(told, [*before, *new], last.dedupe_from, _up_to(told, history))
    doubtful = {file.path for file in new}
    if dropped_ms is not None:
        until_ms = dropped_ms + fold.dedupe_window_ms
        doubtful |= {file.path for file in history.files if file.first_ms is None or file.first_ms <= until_ms}
    telling = _telling(history.files)
    fresh = [file for file in telling if file.path in doubtful]
    told = telling if imported else fresh
    if not told:
        return Outstanding()
    keyed = [file for file in _up_to(told, history) if file.origin not in history.imports]
    return Outstanding(told, keyed, {}, _up_to(fresh, history) if fresh else imported)


def reads_anew(last: Manifest, fold: FoldSettings) -> bool:
    """Say whether other rows are repeats by these settings than by a generation's, whose window says nothing then."""
    return (last.fold.dedupe_window_s, last.fold.dedupe_records) != (fold.dedupe_window_s, fold.dedupe_records)


def dropped_up_to(commits: Iterable[HistoryCommit], since: int) -> int | None:
    """Return a Kafka timestamp that no clock before a row exceeds which was dropped for its age; None for no such row.

    Args:
        commits: all of them.
        since: the commit up to which nothing is asked for.
    """
    imports, named, dropped = set[int](), dict[str, tuple[int, int]](), 0
    for commit in commits:
        if commit.kind == "import":
            imports.add(commit.number)
        for file in commit.files:
            named[file.path] = file.origin or commit.number, commit.time_ms if file.last_ms is None else file.last_ms
        if commit.kind == "retention" and commit.number > since:
            dropped = max([dropped, *({named[path][0] for path in commit.dropped} - imports)])
    # Imported rows have no IDs, and so no part in a clock.
    return max((ms for origin, ms in named.values() if origin <= dropped and origin not in imports), default=None)


def _telling(files: Iterable[HistoryFile]) -> list[HistoryFile]:
    """The files that may have forgets."""
    return [file for file in files if file.forgets is not False]


def _up_to(told: Sequence[HistoryFile], history: History) -> list[HistoryFile]:
    """The files that may have rows before the newest of these: what is imported, whenever, comes before the topic."""
    newest = max(file.origin for file in told)
    files = [file for file in history.files if not file.carried]
    return [file for file in files if file.first_commit <= newest or file.origin in history.imports]
