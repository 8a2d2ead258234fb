"""What retention drops: from the front of the fold, in whole days, and nothing that is still wanted."""

import pytest

from batch_layer.history.file_footers import day_of
from batch_layer.housekeeping.row_retention import DAY_MS, Limits, droppable, portions
from oryx_py.model.history.commits import IMPORTED_FROM, History, HistoryCommit, HistoryFile, encode_commit
from oryx_py.ports.store import Commit


def rows_of(name: str, day: int, rows: int = 10) -> HistoryFile:
    return HistoryFile(name, rows, 1000, first_ms=day * DAY_MS, last_ms=day * DAY_MS + 5)


def commit(number: int, start: int, end: int, *files: HistoryFile) -> HistoryCommit:
    return HistoryCommit(number=number, files=files, input={0: (start, end)}, rejected=0, time_ms=number)


def imported(number: int, *files: HistoryFile) -> HistoryCommit:
    span = {0: (IMPORTED_FROM, IMPORTED_FROM + 1)}
    return HistoryCommit(number=number, files=files, input={}, rejected=0, time_ms=number, kind="import", imported=span)


def dropped(
    commits: list[HistoryCommit], limits: Limits, needed: dict[int, int] | None = None, today: int = 1000
) -> list[str]:
    history = History.fold(Commit(each.number, encode_commit(each)) for each in commits)
    needed = {0: 999} if needed is None else needed
    return [file.path for file in droppable(portions(history, commits), limits, needed, today * DAY_MS)]


def test_nothing_goes_where_nothing_is_limited() -> None:
    assert dropped([commit(1, 0, 5, rows_of("a", 1)), commit(2, 5, 9, rows_of("b", 900))], Limits()) == []


def test_days_before_the_oldest_to_keep_go_as_a_whole() -> None:
    commits = [
        commit(1, 0, 5, rows_of("a", 1), rows_of("b", 2)),
        commit(2, 5, 9, rows_of("c", 2), rows_of("d", 3)),
        commit(3, 9, 12, rows_of("e", 5)),
    ]
    assert dropped(commits, Limits(max_age_days=2)) == ["a", "b", "c"]
    assert dropped(commits, Limits(max_age_days=3)) == ["a"]
    assert dropped(commits, Limits(max_age_days=4)) == []


def test_a_broker_whose_clock_was_years_ahead_for_a_moment_costs_nobody_his_history() -> None:
    """A single record is enough: all others would lie more than so many days before it."""
    commits = [commit(n, n, n + 1, rows_of(f"{n}", n)) for n in range(1, 5)]
    commits += [commit(5, 5, 6, rows_of("ahead", 4000)), commit(6, 6, 7, rows_of("after", 5))]
    assert dropped(commits, Limits(max_age_days=2), today=5) == ["1", "2"]
    assert dropped(commits, Limits(max_age_days=2), today=9) == ["1", "2", "3", "4"]
    assert dropped(commits[:4], Limits(max_age_days=2), today=9) == ["1"]  # nothing new came: nothing is older


def test_by_number_whole_days_go_and_never_too_many() -> None:
    commits = [commit(n, n, n + 1, rows_of(f"{n}", n)) for n in range(1, 5)]
    assert dropped(commits, Limits(max_rows=20)) == ["1", "2"]
    assert dropped(commits, Limits(max_rows=21)) == ["1"]
    assert dropped(commits, Limits(max_rows=40)) == []
    assert dropped(commits, Limits(max_rows=1)) == ["1", "2", "3"]


def test_what_is_wanted_holds_back_itself_and_everything_behind_it() -> None:
    commits = [commit(n, n, n + 1, rows_of(f"{n}", n)) for n in range(1, 5)]
    assert dropped(commits, Limits(max_rows=1), needed={0: 3}) == ["1", "2"]
    assert dropped(commits, Limits(max_rows=1), needed={0: 0}) == []


def test_imported_rows_are_the_front_of_the_fold_and_hold_back_what_is_behind_them() -> None:
    """A delete in the topic must not go while the imported row that it removes stays."""
    commits = [
        commit(1, 0, 5, rows_of("old", 1)),
        imported(2, rows_of("imported", 8)),
        commit(3, 5, 6, rows_of("new", 9)),
    ]
    assert dropped(commits, Limits(max_age_days=2)) == []
    commits.append(commit(4, 6, 7, rows_of("newest", 20)))
    assert dropped(commits, Limits(max_age_days=2)) == ["imported", "old", "new"]


def test_a_file_that_does_not_say_when_its_rows_came_counts_from_its_commit() -> None:
    plain = HistoryFile("plain", 10, 1000)
    first = HistoryCommit(number=1, files=(plain,), input={0: (0, 5)}, rejected=0, time_ms=3 * DAY_MS)
    assert dropped([first, commit(2, 5, 6, rows_of("b", 6))], Limits(max_age_days=3)) == []
    assert dropped([first, commit(2, 5, 6, rows_of("b", 7))], Limits(max_age_days=3)) == ["plain"]


@pytest.mark.parametrize(
    ("time_ms", "day"),
    [
        (-1, "1970-01-01"),
        (DAY_MS - 1, "1970-01-01"),
        (DAY_MS, "1970-01-02"),
        (253_402_300_799_999, "9999-12-31"),
        (2**63 - 1, "9999-12-31"),
    ],
    ids=["none", "last-moment", "first-moment", "last-day", "beyond"],
)
def test_every_time_that_a_record_may_have_has_a_day(time_ms: int, day: str) -> None:
    assert day_of(time_ms) == day
