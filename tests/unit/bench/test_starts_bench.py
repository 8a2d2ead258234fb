"""The benchmark of starts, on a world that is done in a second."""

import json

import pytest

from tests.bench import starts


def test_it_says_what_a_start_takes_and_that_the_state_is_the_same(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["starts", "--interactions", "3K", "--folded", "1K", "--json"])
    starts.main()
    figures = json.loads(capsys.readouterr().out)
    assert figures["differences"] == {"histories": 0, "vectors": 0.0, "users": 2_000}
    assert figures["pairs"] > 2_000
    assert figures["checkpoint_bytes"] > figures["pairs"] * 12
    assert 0 < figures["load_s"] <= figures["speed_start_s"]
