"""What Spark's workers import, once for each of many processes."""

import subprocess
import sys

import pytest

LIGHT = [
    "batch_layer.spark.preparing.fold",
    "batch_layer.spark.preparing.item_table",
    "batch_layer.spark.preparing.user_table",
    "batch_layer.spark.mllib.pairs",
    "batch_layer.spark.rows.topic_reader",
    "batch_layer.spark.rows.dedupe",
    "batch_layer.spark.rows.weighing",
]


@pytest.mark.parametrize("module", LIGHT)
def test_tasks_that_compute_nothing_do_not_wait_for_the_compiler(module: str) -> None:
    """Numba takes a second of each worker."""
    code = f"import sys, {module}; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
