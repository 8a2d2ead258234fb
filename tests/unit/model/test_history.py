"""The fold of the history's commits: no offset twice, none left out."""

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from oryx_py.adapters.commit_logs.history_log import HistoryLog
from oryx_py.errors import CommitConflict, CorruptLog, UnsupportedFormat
from oryx_py.model.history.commits import IMPORTED_FROM, History, HistoryCommit, HistoryFile, encode_commit
from oryx_py.ports.store import Commit
from oryx_py.testing.memory_log import MemoryCommitLog


def file(number: int, origin: int = 0) -> HistoryFile:
    return HistoryFile(f"rows/{number}.parquet", rows=10 * number, bytes=1000, origin=origin)


def commit(number: int, *files: int, rejected: int = 0, **spans: tuple[int, int]) -> HistoryCommit:
    """Spans by ``p0``, ``p1``, …"""
    return HistoryCommit(
        number=number,
        files=tuple(file(n) for n in files),
        input={int(name[1:]): span for name, span in spans.items()},
        rejected=rejected,
        time_ms=number,
    )


def fold(*of: HistoryCommit) -> History:
    return History.fold(Commit(number, encode_commit(each)) for number, each in enumerate(of, 1))


def test_a_history_without_commits_has_nothing() -> None:
    history = fold()
    assert (history.number, history.files, dict(history.offsets), history.rows) == (0, (), {}, 0)


def test_the_fold_has_all_files_and_the_next_offsets() -> None:
    history = fold(
        commit(1, 1, 2, p0=(0, 5), p1=(7, 9), rejected=1),
        commit(2, p0=(5, 5)),
        commit(3, 3, p0=(5, 8), p2=(0, 4), rejected=2),
    )
    assert history.files == (file(1, 1), file(2, 1), file(3, 3))
    assert history.offsets == {0: 8, 1: 9, 2: 4}
    assert history.input == {0: (0, 8), 1: (7, 9), 2: (0, 4)}
    assert (history.number, history.rows, history.rejected) == (3, 60, 3)


@given(st.lists(st.lists(st.integers(0, 9), min_size=3, max_size=3), max_size=6), st.integers(0, 6))
def test_reading_on_is_reading_anew(steps: list[list[int]], seen: int) -> None:
    ends, all_of_them = [0, 0, 0], []
    for number, lengths in enumerate(steps, 1):
        spans = {partition: (ends[partition], ends[partition] + n) for partition, n in enumerate(lengths)}
        ends = [end for _, end in spans.values()]
        each = HistoryCommit(number=number, files=(file(number),), input=spans, rejected=0, time_ms=number)
        all_of_them.append(Commit(number, encode_commit(each)))
    whole = History.fold(all_of_them)
    assert History.fold(all_of_them[seen:], History.fold(all_of_them[:seen])) == whole
    assert whole.offsets == (dict(enumerate(ends)) if steps else {})


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        (commit(2, 2, p0=(6, 8)), r"offsets 6–8 do not follow 5"),
        (commit(2, 2, p0=(4, 8)), r"offsets 4–8 do not follow 5"),
        (commit(2, 2, p0=(5, 4)), r"offsets 5–4 do not follow 5"),
        (commit(2, 2, p1=(3, 1)), r"offsets 3–1 do not follow 3"),
        (commit(2, 1, p0=(5, 8)), r"rows/1\.parquet was committed before"),
        (commit(3, 2, p0=(5, 8)), "it says it is commit 3, not 2"),
    ],
)
def test_what_leaves_out_or_repeats_offsets_is_refused(second: HistoryCommit, reason: str) -> None:
    """By the reader, and before that by the writer."""
    first = commit(1, 1, p0=(0, 5))
    with pytest.raises(CorruptLog, match=f"commit 2 of the history: .*{reason}"):
        fold(first, second)
    with pytest.raises(ValueError, match=reason):
        fold(first).after(second)


@pytest.mark.parametrize("payload", [b"", b"[]", b"{}", b'{"format": "1.0"}', b"\xff", b'{"format": 1}'])
def test_what_is_no_commit_stops_the_reader(payload: bytes) -> None:
    with pytest.raises(CorruptLog, match=r"commit 1 of the history cannot be read.*restore"):
        History.fold([Commit(1, payload)])


def test_a_newer_format_asks_for_an_upgrade() -> None:
    with pytest.raises(UnsupportedFormat, match=r"commit 1 of the history has format 4\.0"):
        History.fold([Commit(1, b'{"format": "4.0", "parts": []}')])


def test_a_commit_that_is_missing_stops_the_reader() -> None:
    with pytest.raises(CorruptLog, match="commit 2 of the history follows commit 0"):
        History.fold([Commit(2, encode_commit(commit(2, 1)))])


def test_unknown_keys_are_ignored() -> None:
    document = json.loads(encode_commit(commit(1, 1, p0=(0, 5)))) | {"format": "1.4", "mood": "good"}
    assert History.fold([Commit(1, json.dumps(document).encode())]) == fold(commit(1, 1, p0=(0, 5)))


def test_of_two_writers_the_second_has_to_look_again() -> None:
    log = MemoryCommitLog()
    one, other = HistoryLog(log), HistoryLog(log)
    seen = other.read()
    first = one.append(one.read(), [file(1)], {0: (0, 5)}, rejected=0, time_ms=1)
    with pytest.raises(CommitConflict):
        other.append(seen, [file(2)], {0: (0, 7)}, rejected=0, time_ms=2)
    assert other.read(seen) == first
    second = other.append(other.read(seen), [file(2)], {0: (5, 7)}, rejected=1, time_ms=2)
    assert one.read() == second
    assert second.offsets == {0: 7}


def test_a_hole_is_never_written() -> None:
    log = MemoryCommitLog()
    seen = HistoryLog(log).append(History(), [file(1)], {0: (0, 5)}, rejected=0, time_ms=1)
    with pytest.raises(ValueError, match="do not follow 5"):
        HistoryLog(log).append(seen, [file(2)], {0: (6, 7)}, rejected=0, time_ms=2)
    assert len(log.read()) == 1


def imported(number: int, *files: int, rows: int, start: int = IMPORTED_FROM) -> HistoryCommit:
    return HistoryCommit(
        number=number,
        files=tuple(file(n) for n in files),
        input={},
        rejected=0,
        time_ms=number,
        kind="import",
        imported={0: (start, start + rows)},
    )


def replacing(number: int, dropped: int, *files: HistoryFile, kind: str = "rewrite") -> HistoryCommit:
    told = {"number": number, "files": files, "input": {}, "rejected": 0, "time_ms": number, "kind": kind}
    return HistoryCommit(**told, dropped=(file(dropped).path,))  # type: ignore[arg-type]


def merging(number: int, dropped: Sequence[int], *files: HistoryFile) -> HistoryCommit:
    return replace(replacing(number, 0, *files, kind="merge"), dropped=tuple(file(n).path for n in dropped))


def test_imports_follow_each_other_below_the_topics_offsets() -> None:
    history = fold(commit(1, 1, p0=(3, 5)), imported(2, 2, rows=20))
    assert (history.input, history.rows) == ({0: (3, 5)}, 30)
    assert history.imported == {0: IMPORTED_FROM + 20}
    assert history.after(imported(3, 3, rows=1, start=IMPORTED_FROM + 20)).imported == {0: IMPORTED_FROM + 21}
    with pytest.raises(ValueError, match=f"offsets {IMPORTED_FROM}–.* do not follow {IMPORTED_FROM + 20}"):
        history.after(imported(3, 3, rows=1))
    with pytest.raises(ValueError, match="imported rows reach into the topic's offsets"):
        fold().after(imported(1, 1, rows=1 - IMPORTED_FROM))


def test_files_are_replaced_at_once_and_keep_the_commit_whose_rows_they_have() -> None:
    history = fold(commit(1, 1, p0=(0, 5)), commit(2, 2, p0=(5, 7)), replacing(3, 1, file(4, origin=1)))
    assert history.files == (file(2, 2), file(4, 1))
    assert (history.rows, history.offsets) == (60, {0: 7})
    with pytest.raises(ValueError, match=r"rows/1\.parquet is not there to be dropped"):
        history.after(replacing(4, 1))


def test_the_newest_commit_that_does_more_than_add_behind_is_known() -> None:
    history = fold(commit(1, 1, p0=(0, 5)), commit(2, 2, p0=(5, 7)), replacing(3, 1, file(4, origin=1)))
    assert history.refolded == 0
    history = history.after(imported(4, 5, rows=2))
    assert history.refolded == 4
    history = history.after(replacing(5, 2, kind="retention"))
    assert (history.refolded, history.rows) == (5, 90)
    assert history.after(commit(6, 6, p0=(7, 9))).refolded == 5


def test_an_earlier_version_is_told_to_upgrade_only_where_it_would_misread_the_rows() -> None:
    formats = [
        json.loads(encode_commit(each))["format"]
        for each in (commit(1, 1), imported(1, 1, rows=1), replacing(1, 1), replacing(1, 1, kind="retention"))
    ]
    assert formats == ["1.2", "2.1", "2.1", "2.1"]
    of_several = HistoryFile("rows/9.parquet", 10, 1000, origin=2, since=1)
    for kind in ("merge", "rewrite"):
        assert json.loads(encode_commit(replacing(3, 1, of_several, kind=kind)))["format"] == "3.0"


def test_a_merged_file_says_the_oldest_and_the_newest_commit_of_its_rows() -> None:
    several = HistoryFile("rows/9.parquet", 30, 1000, origin=2, since=1)
    history = fold(commit(1, 1, p0=(0, 5)), commit(2, 2, p0=(5, 7)), merging(3, [1, 2], several))
    assert history.files == (several,)
    assert [(file.first_commit, file.origin) for file in history.files] == [(1, 2)]
    assert (history.rows, history.refolded) == (30, 0)
    assert [file(4, 5).first_commit, file(4).first_commit] == [5, 0]
    backwards = HistoryFile("rows/8.parquet", 30, 1000, origin=2, since=3)
    with pytest.raises(ValueError, match=r"rows/8\.parquet has rows since commit 3, and none after 2"):
        history.after(merging(4, [9], backwards))


def test_what_the_newest_merge_replaced_is_known_until_something_else_is_taken_out() -> None:
    first = fold(commit(1, 1, p0=(0, 5)), commit(2, 2, p0=(5, 7)), merging(3, [2, 1], file(9, origin=2)))
    assert first.replaced == (file(2, 2), file(1, 1))
    later = first.after(commit(4, 4, p0=(7, 9))).after(imported(5, 5, rows=1))
    assert later.replaced == first.replaced
    assert later.after(merging(6, [4], file(6, origin=4))).replaced == (file(4, 4),)
    for kind in ("rewrite", "retention"):
        assert later.after(replacing(6, 4, kind=kind)).replaced == ()
