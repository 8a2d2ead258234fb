"""Files by the million say what they say line by line; and what is exported comes back the same."""

import gzip
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batch_layer.folding.input_rows import HISTORY_SCHEMA
from batch_layer.history.folder import HistoryFolder
from batch_layer.history.importing import Target, import_rows
from oryx_py.adapters.commit_logs.history_log import HistoryLog
from oryx_py.adapters.file_systems.local_files import LocalFiles
from oryx_py.cli.choices import BulkFormat
from oryx_py.cli.files import open_interactions
from oryx_py.cli.history_files.reading import file_of, read_bulk
from oryx_py.cli.history_files.writing import export_rows
from oryx_py.errors import BadInteraction, CommitConflict, UserError
from oryx_py.events import FoldSettings, Interaction
from oryx_py.messages import partition_of
from oryx_py.model.history.commits import IMPORTED_FROM, History, HistoryFile, ImportedSource
from oryx_py.testing.memory_log import MemoryCommitLog
from tests.support.batch import slow_fold

IMPLICIT = FoldSettings("implicit", dedupe_window_s=10.0)
PARTITIONS = 3


def rows_of(path: Path, format_: BulkFormat = "csv") -> list[tuple[Any, ...]]:
    batches = [checked.rows for checked in read_bulk(path, format_, "ms" if format_ == "csv" else "auto")]
    return [tuple(row.values()) for batch in batches for row in batch.to_pylist()]


def refused(path: Path, format_: BulkFormat = "csv") -> list[str]:
    return [reason for checked in read_bulk(path, format_, "auto") for reason in checked.reasons]


def line_by_line(path: Path) -> list[tuple[Any, ...]]:
    with open_interactions(path, "csv", "ms") as file:
        rows = [row for _, row in file.rows() if not isinstance(row, BadInteraction)]
    return [(row.user, row.item, row.strength, row.timestamp_ms, row.kind) for row in rows]


_FIELDS = st.sampled_from(
    ["a", "b", "ä€", "x y", "", '"q,""q"""', "1", "-2.5", "1e3", "nan", "inf", "1e39", "+4", ".5", " 7", "a\x01", "0x1"]
)


@settings(
    deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    st.lists(st.tuples(_FIELDS, _FIELDS, _FIELDS, st.sampled_from(["", "0", "1700000000000", "-1", "x"])), min_size=1)
)
def test_a_table_is_read_as_its_lines_are(tmp_path: Path, fields: Sequence[Sequence[str]]) -> None:
    path = tmp_path / "some.csv"
    path.write_text("user,item,strength,timestamp\n" + "".join(",".join(each) + "\n" for each in fields))
    assert rows_of(path) == line_by_line(path)


def test_what_cannot_be_used_is_named_by_its_row(tmp_path: Path) -> None:
    path = tmp_path / "some.csv"
    path.write_text("u,i,1\nu,i,much\n,,\n,i,1\nu,i\nu,i,1,-4\n")
    wrong = refused(path)
    assert [reason.split(":")[0] for reason in wrong[:3]] == ["row 2", "row 3", "row 4"]
    assert "2 fields, not 3" in wrong[-2]
    assert "4 fields, not 3" in wrong[-1]


def test_rows_that_forget_are_refused_where_they_may_not(tmp_path: Path) -> None:
    path = tmp_path / "joined.csv"
    path.write_text("u,,\n,i,\nu,i,\nu,i,1\n")
    (checked,) = read_bulk(path, "csv", "auto", forgets=False)
    assert [tuple(row.values())[:3] for row in checked.rows.to_pylist()] == [("u", "i", None), ("u", "i", 1.0)]
    assert (checked.refused, [reason[:24] for reason in checked.reasons]) == (
        2,
        ["row 1: forgets for good:", "row 2: forgets for good:"],
    )
    assert [row[:2] for row in rows_of(path)] == [("u", ""), ("", "i"), ("u", "i"), ("u", "i")]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("u.data", "1\t10\t3\t881250949\n2\t10\t4.5\t881250950\n"),
        ("ratings.dat", "1::10::3::881250949\n2::10::4.5::881250950\n"),
        ("ratings.csv", "userId,movieId,rating,timestamp\n1,10,3,881250949\n2,10,4.5,881250950\n"),
    ],
)
def test_every_edition_of_movielens_is_read(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    assert rows_of(file_of(tmp_path, "movielens"), "movielens") == [
        ("1", "10", 3.0, 881250949000, None),
        ("2", "10", 4.5, 881250950000, None),
    ]


def test_a_separator_of_two_characters_may_be_cut_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ratings.dat"
    path.write_text("".join(f"{n}::10::3::881250949\n" for n in range(2_000)))
    for block in (1_001, 1_024, 1_027):
        monkeypatch.setattr("oryx_py.cli.history_files.reading._BLOCK_BYTES", block)
        assert [row[0] for row in rows_of(path, "movielens")] == [str(n) for n in range(2_000)]


@pytest.mark.parametrize("start", ["userID\tartistID\tweight\n", "2\n3\n", ""])
def test_both_editions_of_lastfm_are_read(tmp_path: Path, start: str) -> None:
    path = tmp_path / "user_artists.dat"
    path.write_text(start + "2\t51\t13883\n2\t52\t11690\n")
    assert rows_of(tmp_path / "user_artists.dat", "lastfm") == [
        ("2", "51", 13883.0, None, None),
        ("2", "52", 11690.0, None, None),
    ]


def test_parquet_takes_numbers_and_times_as_they_are(tmp_path: Path) -> None:
    when = pa.array([1_700_000_000_000, None], pa.timestamp("ms"))
    columns = {
        "user_id": [7, 8],
        "item": ["a", "b"],
        "rating": pa.array([1, None], pa.int32()),
        "ts": when,
        "other": [0, 0],
    }
    pq.write_table(pa.table(columns), tmp_path / "some.parquet")
    assert rows_of(tmp_path / "some.parquet", "parquet") == [
        ("7", "a", 1.0, 1_700_000_000_000, None),
        ("8", "b", None, None, None),
    ]


def test_gzip_is_seen_by_the_name(tmp_path: Path) -> None:
    path = tmp_path / "some.csv.gz"
    path.write_bytes(gzip.compress(b"u,i,2\n"))
    assert rows_of(path) == [("u", "i", 2.0, None, None)]


def test_what_is_something_else_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello\n")
    (tmp_path / "empty").write_text("")
    (tmp_path / "semicolons").write_text("u;i;1,5\n")
    (tmp_path / "half").write_text("user_id,track_id\n1,2\n")
    (tmp_path / "json").write_text('{"user": "u", "item": "i"}\n')
    (tmp_path / "zip").write_bytes(b"PK\x03\x04 and so on\n")
    for format_, name, said in (
        ("parquet", "text", "cannot be read as parquet"),
        ("csv", "text", "no columns of users and items"),
        ("csv", "empty", "no line that could be an interaction"),
        ("csv", "semicolons", "has semicolons between its fields"),
        ("csv", "half", "call that one item"),
        ("csv", "json", "is JSON: `oryx ingest"),
        ("movielens", "zip", "is a zip archive"),
        ("lastfm", "zip", "is a zip archive"),
        ("csv", "missing", "cannot be opened"),
        ("movielens", ".", "none of"),
    ):
        with pytest.raises(UserError, match=said):
            list(read_bulk(tmp_path / name, format_, "auto"))  # type: ignore[arg-type]


class Place:
    """A history in a folder, as an import sees it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.log, self.count = folder, HistoryLog(MemoryCommitLog()), 0
        folder.mkdir(exist_ok=True)

    def target(self, time_ms: int = 5) -> Target:
        self.count += 1
        return Target(
            log=self.log,
            folder=HistoryFolder(LocalFiles(self.folder)),
            name=f"{self.count}",
            partitions=PARTITIONS,
            starts={0: 4, 1: 5, 2: 6},
            time_ms=time_ms,
        )

    def import_(self, path: Path, file_rows: int = 4, **target: int) -> History:
        batches = (checked.rows for checked in read_bulk(path, "csv", "auto"))
        sources = [ImportedSource(path.name, path.name)]
        return import_rows(batches, sources, self.target(**target), again=True, file_rows=file_rows).history

    def rows(self) -> list[Mapping[str, Any]]:
        return [row for file in self.log.read().files for row in pq.read_table(self.folder / file.path).to_pylist()]


def written(path: Path, rows: Sequence[Interaction]) -> Path:
    lines = (f"{row.user},{row.item},{'' if row.strength is None else row.strength}\n" for row in rows)
    path.write_text("user,item,strength\n" + "".join(lines))
    return path


_IDS = st.sampled_from(["a", "b", "c", "d", "e"])
_ROWS = st.lists(
    st.builds(Interaction, user=_IDS, item=_IDS, strength=st.sampled_from([0.1, 0.2, -0.3, 1.0, None]))
    | st.builds(Interaction, user=_IDS, item=st.just(""), strength=st.none())
    | st.builds(Interaction, user=st.just(""), item=_IDS, strength=st.none()),
    min_size=1,
    max_size=30,
)


def folded(rows: Sequence[Interaction]) -> dict[str, dict[str, float]]:
    """What the interactions come to, one after the other, apart from any history."""
    pairs: dict[str, dict[str, float]] = {}
    for row in rows:
        known = pairs.setdefault(row.user, {})
        if not row.user:
            for other in pairs.values():
                other.pop(row.item, None)
        elif not row.item:
            known.clear()
        elif row.strength is None:
            known.pop(row.item, None)
        else:
            known[row.item] = known.get(row.item, 0.0) + row.strength
    return {user: known for user, known in pairs.items() if known}


@settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(_ROWS, _ROWS)
def test_imports_fold_as_if_their_rows_had_been_sent_first(
    tmp_path_factory: pytest.TempPathFactory, first: list[Interaction], second: list[Interaction]
) -> None:
    folder = tmp_path_factory.mktemp("history")
    place = Place(folder)
    place.import_(written(folder / "1.csv", first))
    place.import_(written(folder / "2.csv", second))
    assert slow_fold(place.rows(), IMPLICIT) == folded([*first, *second])
    for row in place.rows():
        assert row["offset"] < 0
        assert not row["user"] or row["partition"] == partition_of(row["user"], PARTITIONS)


def test_an_import_is_one_commit_that_begins_the_history(tmp_path: Path) -> None:
    place = Place(tmp_path)
    history = place.import_(
        written(tmp_path / "1.csv", [Interaction(f"{n}", "i", 1.0) for n in range(10)]), file_rows=3
    )
    (commit,) = place.log.commits()
    assert (commit.kind, commit.sources, history.rows) == ("import", (ImportedSource("1.csv", "1.csv"),), 10)
    assert history.input == {0: (4, 4), 1: (5, 5), 2: (6, 6)}
    assert sum(end - IMPORTED_FROM for end in history.imported.values()) == 10
    assert {(file.first_ms, file.last_ms) for file in history.files} == {(5, 5)}
    assert pq.read_schema(tmp_path / history.files[0].path).equals(HISTORY_SCHEMA)


def test_an_import_that_fails_leaves_the_history_as_it_was(tmp_path: Path) -> None:
    place, good = Place(tmp_path), Interaction("u", "i", 1.0)
    path = written(tmp_path / "1.csv", [good] * 20)
    before = place.log.read()
    target = place.target()
    batches = [checked.rows for checked in read_bulk(path, "csv", "auto")]

    def overtaken() -> Iterator[pa.RecordBatch]:
        yield from batches
        place.import_(path)

    with pytest.raises(CommitConflict):
        import_rows(overtaken(), [], target)
    assert place.log.read().rows == 20
    with pytest.raises(UserError, match="nothing was imported"):
        import_rows([], [], place.target())
    with pytest.raises(UserError, match=r"1\.csv was imported in commit 1: .*--again"):
        import_rows(batches, [ImportedSource("1.csv", "1.csv")], place.target())
    with pytest.raises(UserError, match=r"copy\.csv has the content of 2\.csv, .*--again"):
        import_rows(batches, [ImportedSource("2.csv", "2"), ImportedSource("copy.csv", "2")], place.target())
    assert before.rows == 0


@settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(_ROWS, st.integers(1, 40))
def test_what_is_exported_and_imported_again_folds_the_same(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Interaction], file_rows: int
) -> None:
    folder = tmp_path_factory.mktemp("history")
    place, other = Place(folder), Place(folder / "other")
    place.import_(written(folder / "1.csv", rows), file_rows=file_rows)
    export_rows(place.log.read(), lambda path: folder / path, folder / "all.csv", "csv", IMPLICIT)
    with suppress(UserError):  # where nothing is left
        other.import_(folder / "all.csv")
    assert slow_fold(other.rows(), IMPLICIT) == folded(rows)


@settings(
    deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(_ROWS, st.lists(st.integers(0, 4), min_size=60, max_size=60))
def test_an_export_is_in_the_order_of_the_offsets_however_a_commits_rows_lie_in_files(
    tmp_path_factory: pytest.TempPathFactory, told: list[Interaction], places: list[int]
) -> None:
    """Files that were written anew without what was forgotten have other names, and rows from several."""
    folder = tmp_path_factory.mktemp("history")
    place, other = Place(folder), Place(folder / "other")
    place.import_(written(folder / "1.csv", told))
    rows = place.rows()
    log, files = HistoryLog(MemoryCommitLog()), []
    for number in range(5):
        dealt = [row for row, to in zip(rows, places * 3, strict=False) if to == number]
        if dealt:
            pq.write_table(pa.Table.from_pylist(dealt, HISTORY_SCHEMA), folder / f"{number}.parquet")
            files.append(HistoryFile(f"{number}.parquet", len(dealt), 1))
    history = log.append(History(), files, {}, 0, 1)
    export_rows(history, lambda path: folder / path, folder / "all.parquet", "parquet", IMPLICIT)
    exported = pq.read_table(folder / "all.parquet").to_pylist()
    for partition in range(PARTITIONS):
        offsets = [row["offset"] for row in exported if row["partition"] == partition]
        assert offsets == sorted(row["offset"] for row in rows if row["partition"] == partition)
    export_rows(history, lambda path: folder / path, folder / "all.csv", "csv", IMPLICIT)
    with suppress(UserError):  # where nothing is left
        other.import_(folder / "all.csv")
    assert slow_fold(other.rows(), IMPLICIT) == folded(told)


def test_lines_leave_out_what_repeats_and_parquet_keeps_it(tmp_path: Path) -> None:
    told = [(0, 5, 9, b"k"), (0, 3, 8, None), (0, 2, 7, b"k"), (0, 6, 99_999, b"k"), (0, 4, 8, b"other")]
    columns = {
        "partition": [row[0] for row in told],
        "offset": [row[1] for row in told],
        "kafka_ms": [row[2] for row in told],
        "id": [row[3] for row in told],
        "user": ["u"] * 5,
        "item": [f"i{row[1]}" for row in told],
        "strength": [1.0] * 5,
        "timestamp_ms": [None] * 5,
        "kind": [None] * 5,
    }
    pq.write_table(pa.table(columns, schema=HISTORY_SCHEMA), tmp_path / "rows.parquet")
    log = HistoryLog(MemoryCommitLog())
    history = log.append(History(), [HistoryFile("rows.parquet", 5, 1)], {0: (0, 7)}, 0, 1)
    export_rows(history, lambda path: tmp_path / path, tmp_path / "all.csv.gz", "csv", IMPLICIT)
    lines = gzip.decompress((tmp_path / "all.csv.gz").read_bytes()).decode().splitlines()[1:]
    assert [line.split(",")[1] for line in lines] == ['"i2"', '"i3"', '"i4"', '"i6"']
    export_rows(history, lambda path: tmp_path / path, tmp_path / "all.parquet", "parquet", IMPLICIT)
    assert pq.read_table(tmp_path / "all.parquet").column("offset").to_pylist() == [2, 3, 4, 5, 6]
