"""Places as Spark takes them."""

from pathlib import Path

import pytest

from batch_layer.spark.rows.history_rows import spark_path


@pytest.mark.parametrize("name", ["day=2026-07-31", "with space", "Zoë", "100%"])
def test_names_in_local_uris_are_given_as_they_are(name: str) -> None:
    assert spark_path(Path("/data", name).as_uri()) == f"file:///data/{name}"


def test_other_uris_have_no_percent_signs_to_begin_with() -> None:
    assert spark_path("hdfs://node:9000/history/day=1/100%25") == "hdfs://node:9000/history/day=1/100%25"
