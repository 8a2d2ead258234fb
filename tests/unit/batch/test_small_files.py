"""Which files are merged: small neighbours of one day, once it is over."""

import pytest

from batch_layer.housekeeping.merge_planning import Group, Sizes, at_once, numbered, placed, to_merge, together
from batch_layer.housekeeping.row_retention import DAY_MS
from oryx_py.model.history.commits import History, HistoryFile

SIZES = Sizes(file=100, small=20, rows=1000, files=50)


def rows_of(origin: int, day: int, rows: int = 10, name: str = "", since: int = 0) -> HistoryFile:
    at = day * DAY_MS
    return HistoryFile(f"{origin}/{day}{name}", rows, 1, first_ms=at, last_ms=at + 5, origin=origin, since=since)


def merged(*files: HistoryFile, imports: frozenset[int] = frozenset(), sizes: Sizes = SIZES) -> list[list[str]]:
    history = History(number=99, files=files, imports=imports)
    return [[file.path for file in group.files] for group in to_merge(history, sizes)]


def test_neighbours_of_a_day_are_merged_when_another_day_has_begun() -> None:
    of_a_day = [rows_of(1, 1), rows_of(2, 1), rows_of(2, 1, name="b"), rows_of(3, 1)]
    assert merged(*of_a_day) == []
    assert merged(*of_a_day, rows_of(4, 2), rows_of(5, 2)) == [["1/1", "2/1", "2/1b", "3/1"]]
    assert merged(rows_of(4, 2), *reversed(of_a_day)) == [["1/1", "2/1b", "2/1", "3/1"]]


def test_a_commit_across_midnight_is_in_both_days() -> None:
    files = [rows_of(1, 1), rows_of(2, 1), rows_of(2, 2), rows_of(3, 2), rows_of(4, 3)]
    assert merged(*files) == [["1/1", "2/1"], ["2/2", "3/2"]]


def test_what_is_no_neighbour_stays() -> None:
    """As rows are dropped by days in the order of the commits: another day's lie between."""
    assert merged(*(rows_of(number, number % 2) for number in range(1, 9))) == []


def test_imports_stay_as_they_are() -> None:
    files = [rows_of(1, 1), rows_of(2, 1), rows_of(3, 1), rows_of(4, 2)]
    assert merged(*files, imports=frozenset({2})) == [["1/1", "3/1"]]


def test_a_file_that_does_not_say_its_day_stays_with_its_commit() -> None:
    vague = HistoryFile("vague", 10, 1, origin=3)
    over_midnight = HistoryFile("long", 10, 1, first_ms=DAY_MS - 1, last_ms=DAY_MS + 1, origin=3)
    for odd in (vague, over_midnight):
        files = [*(rows_of(number, 1) for number in range(1, 6)), odd, rows_of(6, 2)]
        assert merged(*files) == [["1/1", "2/1"], ["4/1", "5/1"]]


def test_a_group_has_no_more_rows_than_a_file_unless_a_commit_has() -> None:
    files = [rows_of(number, 1, rows=19) for number in range(1, 8)]
    assert [len(group) for group in merged(*files, rows_of(8, 2))] == [5, 2]
    large = [rows_of(2, 1, rows=19, name=f"{n}") for n in range(8)]
    assert [len(group) for group in merged(rows_of(1, 1), *large, rows_of(3, 1), rows_of(8, 2))] == [8]
    too_many = [rows_of(2, 1, rows=19, name=f"{n}") for n in range(60)]
    assert merged(*too_many, rows_of(8, 2)) == [], "one task would have to sort all of them"


def test_large_files_stay() -> None:
    assert merged(rows_of(1, 1, rows=20), rows_of(2, 1, rows=20), rows_of(3, 2)) == []
    assert merged(rows_of(1, 1, rows=25), rows_of(2, 1, rows=14), rows_of(3, 2)) == [["1/1", "2/1"]]
    assert merged(rows_of(1, 1, rows=1), rows_of(3, 2)) == [], "there is nothing to merge it with"


def test_what_was_merged_falls_into_the_same_groups() -> None:
    files = [rows_of(number, 1, rows=19) for number in range(1, 12)]
    groups = to_merge(History(number=99, files=(*files, rows_of(12, 2))), SIZES)
    whole = [rows_of(group.origin, 1, rows=group.rows, since=group.since) for group in groups]
    assert [(file.since, file.origin) for file in whole] == [(1, 5), (6, 10)]
    assert merged(*whole, files[-1], rows_of(12, 2)) == []


def test_so_much_is_merged_at_once_and_the_oldest_first() -> None:
    groups = [Group(tuple(rows_of(day, day, name=f"{n}") for n in range(20))) for day in range(1, 5)]
    assert at_once(groups, SIZES) == groups[:2], "50 files"
    assert at_once(groups, Sizes(rows=450)) == groups[:2]
    assert at_once(groups, Sizes(rows=1)) == groups[:1]
    assert at_once([], SIZES) == []


def test_files_that_were_written_have_the_commits_of_their_group() -> None:
    groups = [Group((rows_of(3, 1), rows_of(1, 1), rows_of(5, 1, since=2))), Group((rows_of(6, 1),))]
    of, spans = numbered(groups)
    assert of == {"3/1": 0, "1/1": 0, "5/1": 0, "6/1": 1}
    assert spans == [(1, 5), (6, 6)]
    found = [placed(HistoryFile(f"data/x/group={n}/day=1/part", 1, 1), spans) for n in (0, 1)]
    assert [(file.since, file.origin) for file in found] == [(1, 5), (0, 6)]
    with pytest.raises(ValueError, match="data/x/part does not say whose rows it has"):
        placed(HistoryFile("data/x/part", 1, 1), spans)


def test_only_files_of_the_same_commits_are_rewritten_together() -> None:
    files = [rows_of(5, 1, since=2), rows_of(5, 2), rows_of(5, 2, name="b"), rows_of(6, 2)]
    assert [[file.path for file in group.files] for group in together(files)] == [["5/1"], ["5/2", "5/2b"], ["6/2"]]
