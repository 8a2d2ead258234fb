"""``oryx history`` where the history lies in HDFS: imported, shown, and out again as it came in."""

import csv
import gzip
import uuid
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from oryx_py.adapters.places import Reach, history_log
from oryx_py.cli.main import app
from oryx_py.local.broker import EmbeddedBroker
from oryx_py.local.hdfs import EmbeddedHdfs
from oryx_py.messages import partition_of

pytestmark = [pytest.mark.kafka, pytest.mark.hdfs, pytest.mark.xdist_group("hdfs")]

PARTITIONS = 3
Line = tuple[str, str, float | None, int, str]
LINES: list[Line] = [(f"u{n % 29}", f"i{n % 17}", n % 8 / 4, 1_700_000_000_000 + n, "") for n in range(300)]
LINES[150], LINES[250] = ("u3", "i3", None, 1_700_000_000_150, ""), ("Zoë", 'a,"b', 2.0, 1_700_000_000_250, "buy")


def text(strength: float | None) -> str:
    return "" if strength is None else f"{strength:g}"


@pytest.fixture
def environ(
    kafka_broker: EmbeddedBroker, hdfs: EmbeddedHdfs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """Settings with topics, and a place in HDFS, of this test's own."""
    monkeypatch.chdir(tmp_path)
    name = uuid.uuid4().hex
    place = f"hdfs://{hdfs.namenode.address}/tests/{name}"
    return {
        "COLUMNS": "200",
        "ORYX__KAFKA__BOOTSTRAP_SERVERS": kafka_broker.bootstrap_servers,
        "ORYX__INPUT__TOPIC": f"in-{name}",
        "ORYX__INPUT__PARTITIONS": str(PARTITIONS),
        "ORYX__UPDATE__TOPIC": f"up-{name}",
        "ORYX__ITEMS__TOPIC": f"items-{name}",
        "ORYX__LOCAL__DIR": str(tmp_path / "here"),
        "ORYX__HISTORY__URI": f"{place}/history",
        "ORYX__STORE__URI": f"{place}/store",
        "ORYX__HDFS__WEBHDFS_URL": hdfs.namenode.webhdfs_url,
    }


def test_what_is_imported_is_shown_and_exported_as_it_was(environ: dict[str, str], tmp_path: Path) -> None:
    def oryx(*arguments: str, code: int = 0) -> Result:
        result = CliRunner().invoke(app, list(arguments), env=environ)
        assert result.exit_code == code, result.output
        return result

    first, second = Path("first.csv"), Path("second.parquet")
    with first.open("w", newline="") as file:
        csv.writer(file).writerows((user, item, text(s), at, kind) for user, item, s, at, kind in LINES[:200])
    names = ("user", "item", "strength", "timestamp", "kind")
    pq.write_table(pa.table(dict(zip(names, map(list, zip(*LINES[200:], strict=True)), strict=True))), second)

    oryx("setup")
    assert "there is no history in hdfs://" in oryx("history").output
    assert "200 rows imported, commit 1" in oryx("history", "import", "--format", "csv", str(first)).stdout
    assert "100 rows imported, commit 2" in oryx("history", "import", "--format", "parquet", str(second)).stdout
    assert "first.csv" in oryx("history", "import", "--format", "csv", str(first), code=2).stderr

    shown = oryx("history", "--commits").stdout
    rows = [line.split() for line in shown.splitlines()]
    assert [row[3:6] for row in rows if row[:1] in (["1"], ["2"])] == [["import", "1", "200"], ["import", "1", "100"]]
    assert "first.csv" in shown
    assert "second.parquet" in shown
    assert ["rows", "300"] in rows
    assert ["imported", "rows", "300"] in rows

    oryx("history", "export", "--format", "csv", "all.csv.gz")
    with gzip.open("all.csv.gz", "rt", newline="") as packed:
        exported = [
            (
                row["user"],
                row["item"],
                float(row["strength"]) if row["strength"] else None,
                int(row["timestamp"]),
                row["kind"],
            )
            for row in csv.DictReader(packed)
        ]
    assert sorted(exported, key=str) == sorted(LINES, key=str)
    oryx("history", "export", "--format", "parquet", "all.parquet")
    whole = pq.read_table("all.parquet").to_pylist()
    assert all(row["partition"] == partition_of(row["user"], PARTITIONS) for row in whole)
    assert sorted(row["timestamp_ms"] for row in whole) == [at for _, _, _, at, _ in LINES]

    history = history_log(environ["ORYX__HISTORY__URI"], Reach(webhdfs_url=environ["ORYX__HDFS__WEBHDFS_URL"])).read()
    assert (history.number, history.rows) == (2, 300)
    assert not list((tmp_path / "here").rglob("*.parquet"))
