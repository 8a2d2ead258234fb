"""The fold of the history's commits is that of an obvious one, which builds every history in between anew."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oryx_py.errors import CorruptLog
from oryx_py.model.history.commits import IMPORTED_FROM, History, HistoryCommit, HistoryFile, encode_commit
from oryx_py.ports.store import Commit

KINDS = ("input", "import", "rewrite", "retention", "merge")


@dataclass
class Slow:
    """What `History` says, by lists that are gone through again for each commit."""

    files: list[tuple[str, int, int]] = field(default_factory=list)
    start: dict[int, int] = field(default_factory=dict)
    offsets: dict[int, int] = field(default_factory=dict)
    imported: dict[int, int] = field(default_factory=dict)
    rejected: int = 0
    imports: list[int] = field(default_factory=list)
    refolded: int = 0
    replaced: list[str] = field(default_factory=list)

    def after(self, commit: HistoryCommit) -> "Slow":
        assert all(path in [name for name, _, _ in self.files] for path in commit.dropped)
        kept = [file for file in self.files if file[0] not in commit.dropped]
        added = [(file.path, file.rows, file.origin or commit.number) for file in commit.files]
        return Slow(
            kept + added,
            {partition: start for partition, (start, _) in commit.input.items()} | self.start,
            self.offsets | {partition: end for partition, (_, end) in commit.input.items()},
            self.imported | {partition: end for partition, (_, end) in commit.imported.items()},
            self.rejected + commit.rejected,
            self.imports + [commit.number] * (commit.kind == "import"),
            commit.number if commit.kind in {"import", "retention"} else self.refolded,
            self.replaced if commit.kind in {"input", "import"} else list(commit.dropped) * (commit.kind == "merge"),
        )


def said_by(history: History) -> tuple[Any, ...]:
    files = [(file.path, file.rows, file.origin) for file in history.files]
    ends = dict(history.start), dict(history.offsets), dict(history.imported)
    replaced = [file.path for file in history.replaced]
    return (files, *ends, history.rejected, sorted(history.imports), history.refolded, replaced, history.rows)


@st.composite
def commits(draw: st.DrawFn) -> list[HistoryCommit]:
    """Commits that follow each other: offsets, imports, and files of which some are dropped later."""
    found, there = [], list[HistoryFile]()
    ends, imported = dict[int, int](), dict[int, int]()
    for number in range(1, draw(st.integers(0, 12)) + 1):
        kind = draw(st.sampled_from(KINDS))
        adds = draw(st.integers(0, 3))
        files = [
            HistoryFile(f"{number}/{n}", draw(st.integers(0, 9)), 1, origin=draw(st.integers(0, number)))
            for n in range(adds)
        ]
        gone = draw(st.sets(st.sampled_from([file.path for file in there]))) if there else set()
        spans, spans_before = dict[int, tuple[int, int]](), dict[int, tuple[int, int]]()
        for partition in draw(st.sets(st.integers(0, 3))):
            begin = ends.get(partition, draw(st.integers(0, 5)))
            ends[partition] = begin + draw(st.integers(0, 5))
            spans[partition] = (begin, ends[partition])
        if kind == "import":
            for partition in draw(st.sets(st.integers(0, 3))):
                begin = imported.get(partition, IMPORTED_FROM)
                imported[partition] = begin + draw(st.integers(0, 5))
                spans_before[partition] = (begin, imported[partition])
        there = [file for file in there if file.path not in gone] + files
        found.append(
            HistoryCommit(
                number=number,
                files=tuple(files),
                input=spans,
                rejected=draw(st.integers(0, 3)),
                time_ms=number,
                kind=kind,
                imported=spans_before,
                dropped=tuple(sorted(gone)),
            )
        )
    return found


def logged(of: list[HistoryCommit]) -> list[Commit]:
    return [Commit(commit.number, encode_commit(commit)) for commit in of]


@given(commits(), st.integers(0, 12))
def test_the_fold_is_that_of_every_commit_applied_by_itself(of: list[HistoryCommit], seen: int) -> None:
    slow = Slow()
    for commit in of:
        slow = slow.after(commit)
    ends = slow.start, slow.offsets, slow.imported
    expected = (slow.files, *ends, slow.rejected, slow.imports, slow.refolded, slow.replaced)
    log, one_by_one = logged(of), History()
    for commit in of:
        one_by_one = one_by_one.after(commit)
    whole = History.fold(log)
    assert said_by(whole) == (*expected, sum(rows for _, rows, _ in slow.files))
    assert whole == one_by_one == History.fold(log[seen:], History.fold(log[:seen]))


@given(commits(), st.data())
def test_a_file_that_is_there_already_or_is_not_there_to_be_dropped_is_refused(
    of: list[HistoryCommit], data: st.DataObject
) -> None:
    history = History.fold(logged(of))
    paths = [file.path for file in history.files] or ["nothing"]
    path = data.draw(st.sampled_from(paths))
    number = history.number + 1
    file = HistoryFile(path, 1, 1)
    twice = (HistoryFile("new", 1, 1), HistoryFile("new", 1, 1)) if path == "nothing" else (file,)
    told = {"number": number, "input": {}, "rejected": 0, "time_ms": number, "kind": "rewrite"}
    with pytest.raises(CorruptLog, match="was committed before"):
        History.fold(logged([HistoryCommit(files=twice, **told)]), history)  # type: ignore[arg-type]
    with pytest.raises(CorruptLog, match="absent is not there to be dropped"):
        History.fold(logged([HistoryCommit(files=(), dropped=("absent",), **told)]), history)  # type: ignore[arg-type]


class Path(str):
    """A path that counts how often it is looked up."""

    __slots__ = ()
    looked_up = 0

    def __hash__(self) -> int:
        Path.looked_up += 1
        return super().__hash__()


def test_what_is_there_is_looked_at_once_however_many_commits_follow() -> None:
    """Else the time of a fold would grow with the square of the commits."""
    there = History(files=tuple(HistoryFile(Path(f"before/{n}"), 1, 1) for n in range(100)), rows=100)
    told = {"input": {}, "rejected": 0, "time_ms": 1, "kind": "rewrite"}
    log = logged(
        [
            HistoryCommit(number=n, files=(HistoryFile(f"{n}", 1, 1),), dropped=(f"{n - 1}",) * (n > 1), **told)  # type: ignore[arg-type]
            for n in range(1, 101)
        ]
    )
    Path.looked_up = 0
    assert History.fold(log, there).rows == 101
    assert Path.looked_up <= 2 * len(there.files)
