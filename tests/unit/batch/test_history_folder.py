"""The folder of the history's rows: what counts as a file of rows, and what is swept."""

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch_layer.folding.input_rows import HISTORY_SCHEMA
from batch_layer.history.folder import HistoryFolder
from oryx_py.adapters.file_systems.local_files import LocalFiles
from oryx_py.adapters.file_systems.reading import open_reading
from oryx_py.errors import StoreUnavailable
from oryx_py.model.history.commits import HistoryFile

ROW = {"partition": 0, "kafka_ms": 7, "user": "ann", "item": "tea", "strength": 1.0}


def write(path: Path, rows: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist([{**ROW, "offset": offset} for offset in range(rows)], schema=HISTORY_SCHEMA)
    pq.write_table(table, path)


@pytest.fixture
def files(tmp_path: Path) -> LocalFiles:
    return LocalFiles(tmp_path / "history")


def test_files_of_rows_are_described_and_everything_else_goes(files: LocalFiles, tmp_path: Path) -> None:
    folder = HistoryFolder(files)
    directory = folder.new("one")
    here = tmp_path / "history" / directory
    write(here / "day=2026-07-31" / "part-0.parquet", 3)
    write(here / "part-1.parquet", 2)
    write(here / "part-2.parquet", 0)
    for junk in ("_SUCCESS", ".part-1.parquet.crc", "_temporary/0/part-9.parquet.tmp", ".hidden.parquet"):
        (here / junk).parent.mkdir(parents=True, exist_ok=True)
        (here / junk).write_bytes(b"junk")
    found = folder.settle(directory, 5)
    assert [(file.path, file.rows, file.first_ms) for file in found] == [
        ("data/one/day=2026-07-31/part-0.parquet", 3, 7),
        ("data/one/part-1.parquet", 2, 7),
    ]
    assert [file.bytes for file in found] == [(tmp_path / "history" / file.path).stat().st_size for file in found]
    assert sorted(path.name for path in here.rglob("*") if path.is_file()) == ["part-0.parquet", "part-1.parquet"]
    assert folder.uris(found)[1] == (here / "part-1.parquet").as_uri()


def test_rows_that_are_not_there_are_noticed_before_anything_is_committed(files: LocalFiles, tmp_path: Path) -> None:
    """One file of several is gone, or all with their directory; or there are more than anybody has written."""
    folder, here = HistoryFolder(files), tmp_path / "history"
    write(here / "data" / "one" / "part-0.parquet", 3)
    write(here / "data" / "one" / "part-1.parquet", 2)
    assert len(folder.settle("data/one", 5)) == 2
    for rows in (4, 6):
        with pytest.raises(StoreUnavailable, match=f"has 5 rows where {rows} were .*run it again"):
            folder.settle("data/one", rows)
    (here / "data" / "one" / "part-1.parquet").unlink()
    with pytest.raises(StoreUnavailable, match="has 3 rows where 5"):
        folder.settle("data/one", 5)
    shutil.rmtree(here / "data" / "one")
    with pytest.raises(StoreUnavailable, match="has 0 rows where 5"):
        folder.settle("data/one", 5)


def test_what_no_commit_names_is_told_and_dropped(files: LocalFiles, tmp_path: Path) -> None:
    folder = HistoryFolder(files)
    source = tmp_path / "rows.parquet"
    write(source, 1)
    for name in ("kept", "dropped"):
        folder.put(source, f"{folder.new(name)}/part-0.parquet")
    kept = [HistoryFile("data/kept/part-0.parquet", 1, 1)]
    assert folder.uncommitted(kept) == ["dropped"]
    folder.drop(["dropped"])
    assert files.names("data") == ["kept"]
    assert folder.uncommitted(kept) == []


@pytest.mark.parametrize("failure", [StoreUnavailable, KeyboardInterrupt])
def test_who_fails_to_fill_a_directory_removes_it(
    files: LocalFiles, tmp_path: Path, failure: type[BaseException]
) -> None:
    folder, source = HistoryFolder(files), tmp_path / "rows.parquet"
    write(source, 1)
    with folder.begun("whole") as directory:
        folder.put(source, f"{directory}/part-0.parquet")

    def fail() -> None:
        with folder.begun("half") as directory:
            folder.put(source, f"{directory}/part-0.parquet")
            raise failure

    with pytest.raises(failure):
        fail()
    assert files.names("data") == ["whole"]


def test_a_file_is_read_as_pythons_own_readers_want_it(files: LocalFiles, tmp_path: Path) -> None:
    """In pieces from anywhere, to its end and not beyond."""
    content = bytes(range(256)) * 10_000
    (tmp_path / "source").write_bytes(content)
    files.upload(tmp_path / "source", "a/b")
    with open_reading(files, "a/b") as file:
        assert file.seek(-5, 2) == len(content) - 5
        assert file.read() == content[-5:]
        assert file.read(1) == b""
        file.seek(1000)
        assert (file.read(300), file.tell()) == (content[1000:1300], 1300)
        file.seek(2, 1)
        assert file.read(1) == content[1302:1303]
    with pytest.raises(StoreUnavailable, match="is missing"):
        open_reading(files, "nothing")
