"""The batch benchmark runs: a tiny world, our trainer, in a process and a Spark of its own."""

import json

import pytest

from tests.bench.batch.__main__ import main

pytestmark = [pytest.mark.spark, pytest.mark.xdist_group("spark")]


def test_it_trains_and_reports(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--quick", "--trainers", "oryx", "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    ours = found["worlds"]["tiny"]["features"]["16"]["oryx"]
    assert ours["ndcg_at_10"] > 2 * found["worlds"]["tiny"]["popularity_ndcg"]
    assert ours["cpu_s"] > 0
    assert ours["peak_mib"] > 100
