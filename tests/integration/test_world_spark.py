"""Worlds written by Spark have the rows of those drawn in memory, whatever the number of tasks."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from batch_layer.spark.world import write_world
from oryx_py.testing.long_tail import BLOCK, LongTail, draw

pytestmark = [pytest.mark.spark, pytest.mark.xdist_group("spark")]

WORLD = LongTail(users=BLOCK + 50, items=300, interactions=20_000, test_users=40)


@pytest.fixture(scope="module")
def written(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("world") / "world"
    write_world(spark, WORLD, out.as_uri(), "parquet")
    return out


@pytest.mark.parametrize("part", ["interactions", "held-out"])
def test_files_have_the_rows_that_the_seed_means(written: Path, part: str) -> None:
    table = pq.read_table(written / part)
    assert table.column_names == ["user", "item", "strength", "timestamp"]
    rows = draw(WORLD)
    wanted = rows.where(rows.held == (part == "held-out"))
    assert len(wanted) > 0
    assert sorted(zip(*(column.to_pylist() for column in table.columns), strict=True)) == sorted(
        (f"u{user}", f"i{item}", float(strength), when)
        for user, item, strength, when in zip(*(column.tolist() for column in wanted[:4]), strict=True)
    )


def test_lines_of_csv_say_the_same(spark: SparkSession, tmp_path: Path) -> None:
    world = LongTail(users=200, items=100, interactions=2000, test_users=20)
    out = tmp_path / "world"
    write_world(spark, world, out.as_uri(), "csv")
    lines = [line for file in out.glob("*/*.csv") for line in file.read_text().splitlines()]
    assert len([line for line in lines if line != "user,item,strength,timestamp"]) == world.interactions
