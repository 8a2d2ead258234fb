"""The arithmetic of `docs/scaling.md`."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

from oryx_py.planning.constants import Constants
from tests.bench.scaling import Load, measured, rows, table, touched, update_bytes

PAGE = Path(__file__).parents[3] / "docs" / "scaling.md"


def test_the_page_has_what_the_script_prints() -> None:
    """So that no figure outlives its inputs: run `python -m tests.bench.scaling` and put it in."""
    between = PAGE.read_text(encoding="utf-8").partition("<!-- python -m tests.bench.scaling -->\n")[2]
    assert between.partition("\n<!-- end -->")[0] == table(Load())


def test_users_touched_are_those_of_a_draw() -> None:
    load = Load(users=2_000, rate=1, interval_s=3_000.0)
    drawn = [len(set(np.random.default_rng(seed).integers(2_000, size=3_000).tolist())) for seed in range(50)]
    assert touched(load) == pytest.approx(np.mean(drawn), rel=0.01)


def test_what_a_core_does_less_of_takes_more_cores() -> None:
    per = Constants(speed_record_s=1e-3, apply_update_s=1e-4)
    found = {what: much for what, much, _ in rows(Load(rate=10_000, headroom=1.5), per)}
    assert found["speed processes, one core each"] == "15"
    assert found["input partitions"] == "16"
    assert found["**a serving process applies**"] == "**1 cores**"
    twice = dataclasses.replace(per, speed_record_s=2e-3)
    assert (
        dict(row[:2] for row in rows(Load(rate=10_000, headroom=1.5), twice))["speed processes, one core each"] == "30"
    )


def test_an_update_is_as_long_as_its_numbers() -> None:
    longer = update_bytes(128) - update_bytes(64)
    assert 64 * 8 < longer < 64 * 16
    assert update_bytes(64) == update_bytes(64)


def test_what_is_measured_is_what_the_constants_name() -> None:
    found = measured(users=50, items=20, records=40, batch=10)
    assert set(found) == {"speed_record_s", "apply_update_s", "updates_a_record"}
    assert all(value > 0 and math.isfinite(value) for value in found.values())
    assert {"speed_record_s", "apply_update_s"} <= {field.name for field in dataclasses.fields(Constants)}
