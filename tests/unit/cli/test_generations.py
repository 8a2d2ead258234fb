"""The table of generations has what registry and store know, also where the one lacks what the other has."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from oryx_py.adapters.places import open_registry, open_store
from oryx_py.cli.generations import COLUMNS, generation_rows
from oryx_py.cli.main import app
from oryx_py.model.epochs.registry import EpochStarted, GenerationState
from oryx_py.testing.generations import write_small_generation


@pytest.fixture
def uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store with three generations, of which one is unregistered and one damaged, and a fourth that is gone."""
    monkeypatch.chdir(tmp_path)
    uri = str(tmp_path / "oryx-data" / "store")
    store, registry = open_store(uri), open_registry(uri)
    for name in ("a", "b", "c"):
        write_small_generation(store.stage(name), name)
        store.commit(name)
    (store.local("b") / "manifest.json").write_text("{}")
    seen = registry.read()
    published = [GenerationState("a", "published"), EpochStarted(1, "a", {0: 0}, 1)]
    seen = registry.append(seen, published)
    seen = registry.append(seen, [GenerationState("b", "published"), EpochStarted(2, "b", {0: 9}, 2)])
    registry.append(seen, [EpochStarted(3, "a", {0: 12}, 3), GenerationState("gone", "rejected", "worse\x1b than a")])
    return uri


def test_what_is_not_kept_any_more_is_counted_and_not_shown(uri: str) -> None:
    """At a generation every five minutes nobody would find the live one among them."""
    log = open_registry(uri)
    seen = log.read()
    log.append(seen, [GenerationState("b", "retired"), GenerationState("gone", "rejected", deleted=True)])
    assert [row[0] for row in generation_rows(log.read(), open_store(uri))] == ["a", "b", "c"]
    shown = CliRunner().invoke(app, ["generations"])
    assert shown.exit_code == 0
    assert "1 more are not kept any more: store.keep_generations = 5" in shown.output


def test_each_generation_has_its_state_its_epochs_and_its_counts(uri: str) -> None:
    rows = {
        row[0]: dict(zip(COLUMNS, row, strict=True))
        for row in generation_rows(open_registry(uri).read(), open_store(uri))
    }
    assert list(rows) == ["a", "b", "c", "gone"]
    assert rows["a"] == {
        "generation": "a",
        "state": "published",
        "epoch": "1 3",
        "users": "5",
        "items": "4",
        "pairs": "8",
        "quality": "-",
        "input up to": "0:12 1:9",
        "reason": "",
    }
    assert (rows["c"]["state"], rows["c"]["epoch"], rows["c"]["users"]) == ("unregistered", "-", "5")
    assert (rows["gone"]["state"], rows["gone"]["users"], rows["gone"]["reason"]) == (
        "rejected",
        "-",
        "worse\\x1b than a",
    )


def test_a_damaged_generation_is_a_row_with_its_fault_not_the_end(uri: str) -> None:
    row = generation_rows(open_registry(uri).read(), open_store(uri))[1]
    assert row[:4] == ("b", "published", "2", "-")
    assert "manifest.json" in row[-1]


@pytest.mark.parametrize(
    ("evaluation", "quality"),
    [
        ({"model": {"ndcg@10": 0.25, "map@10": 0.1}, "popularity": {"ndcg@10": 0.1}}, "nDCG@10 0.250 / 0.100"),
        ({"model": {"rmse": 0.9}, "item_mean": {"rmse": 1.0}}, "RMSE 0.900 / 1.000"),
        ({"protocol": "nobody could be asked"}, "-"),
    ],
)
def test_an_evaluated_generation_says_how_good_it_is(tmp_path: Path, evaluation: dict[str, Any], quality: str) -> None:
    store = open_store(str(tmp_path / "store"))
    write_small_generation(store.stage("a"), "a", metrics={"evaluation": evaluation})
    store.commit("a")
    (row,) = generation_rows(open_registry(str(tmp_path / "store")).read(), store)
    assert dict(zip(COLUMNS, row, strict=True))["quality"] == quality


def test_the_command_prints_them(uri: str) -> None:
    result = CliRunner().invoke(app, ["generations"])
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["generation", "a", "b", "c", "gone"]
