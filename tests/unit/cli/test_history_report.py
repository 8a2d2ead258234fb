"""What ``oryx history`` says of files that are merged."""

from batch_layer.housekeeping.row_retention import DAY_MS
from oryx_py.cli.history_report import COMMITS, commit_rows, totals
from oryx_py.model.history.commits import History, HistoryCommit, HistoryFile


def rows_of(number: int, day: int) -> HistoryFile:
    return HistoryFile(f"{number}", 10, 1000, first_ms=day * DAY_MS, last_ms=day * DAY_MS + 5)


def test_the_small_files_that_will_be_merged_are_counted() -> None:
    merging = [[rows_of(1, 1), rows_of(2, 1)], [rows_of(number, 2) for number in range(3, 6)]]
    for groups, said in ((merging, "5 files into 2, 1970-01-02 … 1970-01-03"), ([], "nothing")):
        assert ("will be merged", said) in totals(History(), [], [], groups, "none")


def test_a_merge_says_how_many_files_it_put_together() -> None:
    told = {"number": 4, "files": (rows_of(9, 1),), "input": {}, "rejected": 0, "time_ms": 0}
    merge = HistoryCommit(**told, kind="merge", dropped=("1", "2"))  # type: ignore[arg-type]
    dropped = HistoryCommit(**told, kind="retention", dropped=("1", "2"))  # type: ignore[arg-type]
    rows = [dict(zip(COMMITS, row, strict=True)) for row in commit_rows([merge, dropped])]
    assert [(row["kind"], row["files"], row["offsets"]) for row in rows] == [
        ("merge", "1", "2 files merged"),
        ("retention", "1", "2 files dropped"),
    ]
