"""What is read from files of interactions, in each format, and what is refused of them."""

import gzip
import io
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oryx_py.cli.choices import Format, Unit
from oryx_py.cli.files import open_interactions
from oryx_py.cli.files.lines import MAX_LINE_BYTES
from oryx_py.errors import BadInteraction, UserError
from oryx_py.events import Interaction


def read(path: Path, format_: Format | None = None, unit: Unit = "auto") -> tuple[list[Interaction], dict[int, str]]:
    """The interactions of a file, and by number the reasons of what was refused."""
    good: list[Interaction] = []
    bad: dict[int, str] = {}
    with open_interactions(path, format_, unit) as source:
        for number, row in source.rows():
            if isinstance(row, BadInteraction):
                bad[number] = row.reason
            else:
                good.append(row)
    return good, bad


def written(tmp_path: Path, name: str, content: str | bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_csv_is_read_in_the_forms_of_the_rest_interface(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", 'ann,i1\n"b,ob",i2,2.5\r\nann,i1,\n\ncat,i3,-1,1700000000000,view')
    assert read(path) == (
        [
            Interaction("ann", "i1", 1.0),
            Interaction("b,ob", "i2", 2.5),
            Interaction("ann", "i1", None),
            Interaction("cat", "i3", -1.0, 1_700_000_000_000, "view"),
        ],
        {},
    )


def test_movielens_is_tabs_and_seconds_without_being_told(tmp_path: Path) -> None:
    path = written(tmp_path, "u.data", "196\t242\t3\t881250949\n186\t302\t3\t891717742\n")
    with open_interactions(path) as source:
        rows = list(source.rows())
        assert (source.format, source.times.unit) == ("tsv", "s")
    assert rows[0] == (1, Interaction("196", "242", 3.0, 881_250_949_000))


@pytest.mark.parametrize(
    ("unit", "milliseconds"), [("s", 881_250_949_000), ("ms", 881_250_949), ("auto", 881_250_949_000)]
)
def test_the_unit_of_timestamps_can_be_said(tmp_path: Path, unit: Unit, milliseconds: int) -> None:
    path = written(tmp_path, "a.tsv", "u\ti\t1\t881250949\n")
    assert read(path, unit=unit)[0] == [Interaction("u", "i", 1.0, milliseconds)]


def test_milliseconds_are_recognised_by_their_size(tmp_path: Path) -> None:
    assert read(written(tmp_path, "a.csv", "u,i,1,881250949000"))[0] == [Interaction("u", "i", 1.0, 881_250_949_000)]


def test_a_first_line_with_names_gives_the_order_of_the_columns(tmp_path: Path) -> None:
    path = written(tmp_path, "r.csv", 'rating,"movieId",comment,userId\n4.5,m1,"so, so",ann\n3,m2,fine,bob\n')
    assert read(path)[0] == [Interaction("ann", "m1", 4.5), Interaction("bob", "m2", 3.0)]


@pytest.mark.parametrize(
    "line", ["user1,item1,5", "User 7,Item 9,5", "user,item,5", "user_1,item_1,5,,buy"], ids=range(4)
)
def test_a_first_interaction_is_no_header_whatever_its_ids_are_called(tmp_path: Path, line: str) -> None:
    good, bad = read(written(tmp_path, "a.csv", f"{line}\n{line}\n"))
    assert [row.strength for row in good] == [5.0, 5.0]
    assert [[row.user, row.item] for row in good] == [line.split(",")[:2]] * 2
    assert not bad


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", "ann;i1;1\n", "has semicolons between its fields, not commas: write commas"),
        ("a.csv", "ann;i1;1,5\nbob;i2;2,5\n", "has semicolons between its fields"),
        ("a.csv", "user;item;rating\nann;i1;1,5\n", "has semicolons between its fields"),
        ("a.csv", "1::2::5::978300760\n", "--format movielens"),
        ("a.csv", "ann|i1|1\n", "has bars"),
        ("a.csv", "ann i1 1\n", "has spaces"),
        ("a.csv", "ann\ti1\t1\n", "say --format tsv"),
        ("a.tsv", "ann,i1,1\n", "say --format csv"),
        ("a.csv", "user_id,track_id,plays\n7,8,9\n", "none of items: call that one item"),
        ("a.csv", "track_id,item_id\n7,8\n", "none of users: call that one user"),
        ("a.csv", "uid,iid,rating\n7,8,9\n", "call these user and item"),
        ("a.csv", '{"user": "ann", "item": "i1"}\n', "is JSON"),
        ("a.json", '[{"user": "ann", "item": "i1"}]', "is one array of objects: write an object a line"),
        ("a.json", '[\n  {"user": "ann", "item": "i1"}\n]', "is one array of objects"),
        ("a.json", '{\n  "user": "ann"}\n', "has an object on several lines"),
        ("a.zip", b"PK\x03\x04\x14\x00", "is a zip archive"),
        ("a.csv", "user,item\n".encode("utf-16"), "is text in UTF-16"),
        ("a.csv", b"\x00\x01\x02,\x03\n", "is no text"),
    ],
    ids=range(18),
)
def test_a_file_that_is_something_else_is_refused_whole_with_what_to_do(
    tmp_path: Path, name: str, content: str | bytes, said: str
) -> None:
    for data in (content, gzip.compress(content if isinstance(content, bytes) else content.encode())):
        path = written(tmp_path, name, data)
        with pytest.raises(UserError) as refused:
            read(path)
        assert str(refused.value).startswith(f"{path} ")
        assert said in str(refused.value)


@pytest.mark.parametrize(
    "line",
    [
        "a;b,c;d",
        '"Doe, Ann","up; down"',
        "bob,movie",
        "ann,the item,",
        "ann,i1,nan",
        "a b,c d",
        '"ann;x;y",i1,1',
        "only",
    ],
    ids=range(8),
)
def test_a_first_line_that_may_be_an_interaction_or_a_bad_one_is_not_the_whole_files_affair(
    tmp_path: Path, line: str
) -> None:
    good, _ = read(written(tmp_path, "a.csv", f"{line}\nc,d\n"))
    assert good[-1] == Interaction("c", "d", 1.0)


def test_a_header_with_tabs_is_understood(tmp_path: Path) -> None:
    path = written(tmp_path, "user_artists.dat", "userID\tartistID\tweight\n2\t51\t13883\n")
    assert read(path)[0] == [Interaction("2", "51", 13883.0)]


def test_a_line_with_another_number_of_fields_than_its_header_is_refused(tmp_path: Path) -> None:
    good, bad = read(written(tmp_path, "r.csv", "user,item,rating\nann,i1,1\nann,i1\n"))
    assert (len(good), bad) == (1, {3: "2 fields, the first line names 3"})


def test_json_lines_may_be_objects_and_arrays(tmp_path: Path) -> None:
    lines = '{"user": "ann", "item": 7, "strength": null}\n["bob", "i1", 2, 1700000000000]\n'
    assert read(written(tmp_path, "a.ndjson", lines))[0] == [
        Interaction("ann", "7", None),
        Interaction("bob", "i1", 2.0, 1_700_000_000_000),
    ]


@pytest.mark.parametrize(
    ("content", "format_"),
    [("a,b\n", "csv"), ("a\tb\n", "tsv"), ('{"user":"a","item":"b"}', "jsonl"), ('["a","b"]', "jsonl")],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_without_an_ending_the_first_line_tells_the_format(
    tmp_path: Path, content: str, format_: Format, zipped: bool
) -> None:
    data = gzip.compress(content.encode()) if zipped else content.encode()
    with open_interactions(written(tmp_path, "data", data)) as source:
        assert source.format == format_
        assert [row for _, row in source.rows()] == [Interaction("a", "b", 1.0)]


def test_gzip_is_seen_from_the_content_and_the_ending_below_it_counts(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv.gz", gzip.compress(b"a\tb,c,2\n"))
    good, bad = read(path)
    assert not good
    assert "control character" in bad[1]


def test_a_damaged_gzip_file_is_one_line_with_the_place(tmp_path: Path) -> None:
    data = gzip.compress("".join(f"u{n},i{n}\n" for n in range(5_000)).encode())
    with pytest.raises(UserError, match=r"cannot be read after line [\d,]+ .*: fetch it again"):
        read(written(tmp_path, "a.csv.gz", data[: len(data) // 2]))


def test_parquet_is_read_by_the_names_of_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    when = datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)
    table = pa.table({
        "item_id": [7, 8],
        "user_id": ["ann", "bob"],
        "rating": [1.5, None],
        "ts": pa.array([when, None], pa.timestamp("us", tz="UTC")),
        "more": [1, 2],
    })  # fmt: skip
    pq.write_table(table, path)
    assert read(path) == (
        [Interaction("ann", "7", 1.5, int(when.timestamp() * 1000)), Interaction("bob", "8", None)],
        {},
    )


def test_parquet_is_seen_from_its_content_and_its_seconds_are_scaled(tmp_path: Path) -> None:
    path = tmp_path / "data"
    pq.write_table(pa.table({"user": ["a"], "item": ["b"], "timestamp": [881_250_949]}), path)
    with open_interactions(path) as source:
        assert source.format == "parquet"
        assert list(source.rows()) == [(1, Interaction("a", "b", 1.0, 881_250_949_000))]


def test_parquet_rows_that_cannot_be_used_are_refused_by_number(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(
        pa.table({"user": ["a", None, "c"], "item": ["b", "b", "b"], "strength": [1.0, 1.0, float("nan")]}), path
    )
    good, bad = read(path)
    assert good == [Interaction("a", "b", 1.0)]
    assert bad[2] == "user is empty"
    assert bad[3].startswith("strength must be a finite number")
    assert len(bad) == 2


def test_parquet_columns_of_other_types_say_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    columns = {
        "user": pa.array([7.0, 8.0]),  # a table with gaps
        "item": pa.array([b"i1", b"\xff"]),
        "strength": pa.array([Decimal("1.50"), Decimal(2)], pa.decimal128(5, 2)),
    }
    pq.write_table(pa.table(columns), path)
    assert read(path) == ([Interaction("7", "i1", 1.5)], {2: "item must be text"})


def test_parquet_without_users_says_what_to_rename(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"who": ["a"], "item": ["b"]}), path)
    with pytest.raises(UserError, match="has columns who, item: rename"):
        read(path)


def test_no_parquet_by_that_name_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read as Parquet"):
        read(written(tmp_path, "a.parquet", "user,item"))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("only", "not user,item,strength"),
        ("a,b,nan", "strength must be a finite number"),
        ("a,b,1,yesterday", "timestamp must be"),
        ("a,b,1,1,c,d", "more than 5 fields"),
        ('a,"b', "stray quote"),
        (",b,1", "user is empty"),
    ],
)
def test_bad_lines_are_refused_with_number_and_reason_and_the_others_are_read(
    tmp_path: Path, line: str, reason: str
) -> None:
    good, bad = read(written(tmp_path, "a.csv", f"a,b\n{line}\nc,d\n"))
    assert good == [Interaction("a", "b", 1.0), Interaction("c", "d", 1.0)]
    assert list(bad) == [2]
    assert reason in bad[2]


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    for name in ("a.csv", "a.tsv", "a.jsonl"):
        good, bad = read(written(tmp_path, name, b"\xff\xfd\n"))
        assert (good, list(bad)) == ([], [1])


def test_a_line_longer_than_a_record_is_refused_and_not_held_in_memory(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", b"a,b\n" + b"x" * (3 * MAX_LINE_BYTES) + b"\nc,d\n")
    good, bad = read(path)
    assert [row.user for row in good] == ["a", "c"]
    assert bad == {2: "longer than 1,048,576 bytes"}


def test_a_byte_order_mark_is_no_part_of_the_first_user(tmp_path: Path) -> None:
    assert read(written(tmp_path, "a.csv", b"\xef\xbb\xbfann,i1\n"))[0] == [Interaction("ann", "i1", 1.0)]


def test_standard_input_is_read_as_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(gzip.compress(b"a,b\n"))))
    assert read(Path("-"))[0] == [Interaction("a", "b", 1.0)]


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot be opened: No such file or directory"):
        read(tmp_path / "nothing.csv")
    with pytest.raises(UserError, match=r"cannot be opened: Is a directory"):
        read(tmp_path)


def test_the_position_ends_at_the_size(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", "ann,i1\n" * 20_000)
    with open_interactions(path) as source:
        positions = [source.position_bytes() for _ in source.rows()]
        assert source.size_bytes == positions[-1] == path.stat().st_size
        assert positions == sorted(positions)


@pytest.mark.parametrize("content", [b"u,i,1\n", gzip.compress(b"u,i,1\n" * 50_000)])
def test_the_position_of_a_file_that_was_read_to_its_end_is_its_size(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "interactions.csv"
    file.write_bytes(content)
    with open_interactions(file) as source:
        assert sum(1 for _ in source.rows())
        assert source.position_bytes() == len(content)
