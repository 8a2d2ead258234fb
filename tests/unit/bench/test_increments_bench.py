"""The benchmark of increments counts what Spark has read, and says no where a generation reads the history again."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.bench.increments import grows_with_what_is_new, read_in


def ended(at_s: float, records: int) -> dict[str, Any]:
    metrics = {"Input Metrics": {"Bytes Read": 1, "Records Read": records}}
    return {"Event": "SparkListenerTaskEnd", "Task Info": {"Launch Time": int(at_s * 1000)}, "Task Metrics": metrics}


def test_records_count_for_the_generation_in_whose_time_a_task_began(tmp_path: Path) -> None:
    failed = {"Event": "SparkListenerTaskEnd", "Task Info": {"Launch Time": 12_000}}
    events = [{"Event": "SparkListenerJobStart"}, ended(11, 5), ended(12, 7), failed, ended(21, 30), ended(30, 100)]
    (tmp_path / "local-1").write_text("\n".join(json.dumps(event) for event in events))
    assert read_in(tmp_path, [(10.0, 15.0), (20.0, 25.0), (26.0, 29.0)]) == [12, 30, 0]


def generations(*read: int, onto: str | None = "before") -> list[dict[str, Any]]:
    return [{"onto": None, "records_read": 100}, *({"onto": onto, "records_read": each} for each in read)]


@pytest.mark.parametrize(
    ("increments", "says"),
    [
        (generations(200, 200, 200, 200), True),
        (generations(900, 200, 200, 200), True),
        (generations(200, 200, 301, 200), False),
        (generations(200, 300, 400, 500), False),
        (generations(200, 200, 200, onto=None), False),
        (generations(200), False),
    ],
    ids=["as-much-each-time", "the-second-may-read-more", "once-too-much", "with-the-history", "on-nothing", "too-few"],
)
def test_reading_may_grow_with_what_is_new_alone(increments: list[dict[str, Any]], says: bool) -> None:
    assert grows_with_what_is_new(increments, 100) is says
