"""``oryx evaluate prequential`` as a user meets it."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from batch_layer.folding.input_rows import HISTORY_SCHEMA
from oryx_py.adapters.places import history_log
from oryx_py.cli.evaluate.arms import ARMS
from oryx_py.cli.main import app
from oryx_py.events import Interaction
from oryx_py.model.history.commits import History, HistoryFile
from oryx_py.testing.drifting import DriftingWorld
from tests.support.prequential import random_rows

SETTINGS = "[model]\nfeatures = 3\niterations = 2\n"


@pytest.fixture(autouse=True)
def a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "oryx.toml").write_text(SETTINGS)
    return tmp_path


def prequential(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["evaluate", "prequential", *arguments])


def rows(count: int = 200) -> list[Interaction]:
    return random_rows(np.random.default_rng(1), count, users=12, items=20, late=4, deletes=0.0)


def csv(path: Path, given: list[Interaction]) -> str:
    path.write_text("".join(f"{row.user},{row.item},{row.strength},{row.timestamp_ms}\n" for row in given))
    return str(path)


def told(*arguments: str) -> dict[str, Any]:
    result = prequential(*arguments, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_tables_say_what_was_done_and_found(tmp_path: Path) -> None:
    result = prequential(csv(tmp_path / "some.csv", rows()), "--retrain-every", "10")
    assert result.exit_code == 0, result.output
    assert "some.csv\n3 features, 2 sweeps, implicit feedback" in result.stdout
    assert "160 interactions trained on, then 40 replayed" in result.stdout
    for title in ("no update", "speed layer", "Oryx's fold-in rule", "full retraining", "popularity"):
        assert title in result.stdout
    assert "speed layer over no update" in result.stdout
    assert "speed layer over Oryx's fold-in rule" in result.stdout
    assert "paired bootstrap" in result.stdout


def test_as_json_it_is_one_object_with_everything(tmp_path: Path) -> None:
    found = told(csv(tmp_path / "some.csv", rows()), "--retrain-every", "10", "--seed", "7", "--features", "2")
    assert (found["data"], found["retrain_every"], found["warm"]) == ("some.csv", 10, False)
    assert (found["recipe"]["seed"], found["recipe"]["features"]) == (7, 2)
    assert found["counts"]["trained"] == 160
    assert found["groups"]["all"]["cases"] == found["counts"]["ranked"] > 0
    assert {mean["arm"] for mean in found["means"]} == set(ARMS) == found["costs"].keys()
    assert found["costs"]["retrain"]["training"]["times"] == 3
    assert {(one["arm"], one["over"]) for one in found["differences"]} >= {("speed", "none"), ("speed", "oryx")}
    for one in found["differences"]:
        assert one["low"] <= one["difference"] + 1e-12
        assert one["difference"] <= one["high"] + 1e-12


def test_the_same_call_says_the_same(tmp_path: Path) -> None:
    path = csv(tmp_path / "some.csv", rows())
    one, other = (told(path, "--retrain-every", "20") for _ in range(2))
    assert [one[key] for key in ("means", "differences")] == [other[key] for key in ("means", "differences")]


def test_parts_and_arms_can_be_chosen(tmp_path: Path) -> None:
    path = csv(tmp_path / "some.csv", rows())
    found = told(path, "--train-share", "0.5", "--events", "20", "--arms", "speed, none")
    assert found["counts"]["trained"] == 100
    assert sum(found["counts"][name] for name in ("ranked", "repeats", "others")) == 20
    assert list(found["costs"]) == ["speed", "none"]
    assert found["recovered"] == []
    assert told(path, "--max-interactions", "50")["counts"]["trained"] == 40


def test_retraining_begins_warm_where_the_option_or_the_settings_say_so(tmp_path: Path) -> None:
    path, often = csv(tmp_path / "some.csv", rows()), ("--retrain-every", "10", "--arms", "retrain")
    cold, warm = told(path, *often), told(path, *often, "--warm")
    assert (cold["warm"], warm["warm"]) == (False, True)
    assert cold["means"] != warm["means"]
    (tmp_path / "oryx.toml").write_text(SETTINGS + "warm_start = true\n")
    assert told(path, *often)["means"] == warm["means"]
    assert told(path, *often, "--cold")["means"] == cold["means"]


def test_files_in_the_formats_of_imports_are_read(tmp_path: Path) -> None:
    lines = [f"{row.user}::{row.item}::{row.strength}::{(row.timestamp_ms or 0) // 1000}" for row in rows()]
    (tmp_path / "ratings.dat").write_text("\n".join(lines) + "\n")
    by_import = told(str(tmp_path), "--format", "movielens")
    assert by_import["means"] == told(csv(tmp_path / "some.csv", rows()))["means"]


def test_lines_that_cannot_be_used_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "some.csv"
    path.write_text(Path(csv(path, rows())).read_text() + "nonsense\n")
    result = prequential(str(path))
    assert result.exit_code == 0
    assert "1 rows cannot be used and are left out" in result.stderr


def test_the_history_is_what_the_export_of_it_would_be(tmp_path: Path) -> None:
    """Repeats count once, what was forgotten does not count, and Kafka's time is the time where there is no other."""
    given = rows()
    log: list[tuple[bytes | None, Interaction]] = [(None, row) for row in given]
    log.insert(50, (b"k", Interaction("gone", "i1", 1.0, 0)))
    log.insert(51, (b"k", Interaction("gone", "i2", 1.0, 0)))
    log.insert(60, (None, Interaction("gone", "", None)))
    columns = {
        "partition": [0] * len(log),
        "offset": list(range(len(log))),
        "kafka_ms": [row.timestamp_ms or 0 for _, row in log],
        "id": [key for key, _ in log],
        "user": [row.user for _, row in log],
        "item": [row.item for _, row in log],
        "strength": [row.strength for _, row in log],
        "timestamp_ms": [None] * len(log),
        "kind": [None] * len(log),
    }
    folder = tmp_path / "oryx-data" / "history"
    folder.mkdir(parents=True)
    pq.write_table(pa.table(columns, schema=HISTORY_SCHEMA), folder / "rows.parquet")
    file = HistoryFile("rows.parquet", len(log), (folder / "rows.parquet").stat().st_size)
    history_log(str(folder)).append(History(), [file], {0: (0, len(log))}, 0, 1)
    found = told()
    assert found["data"] == "the history"
    assert found["means"] == told(csv(tmp_path / "some.csv", given))["means"]


def test_an_invented_world_needs_no_data(monkeypatch: pytest.MonkeyPatch) -> None:
    small = partial(DriftingWorld, users=50, items=100, interactions=600)
    monkeypatch.setattr("oryx_py.testing.drifting.DriftingWorld", small)
    found = told("--world", "1", "--arms", "none,speed")
    assert found["data"] == "an invented world of drifting tastes, seed 1"


@pytest.mark.parametrize(
    ("arguments", "told_"),
    [
        (["some.csv", "--arms", "spede"], "--arms: there is no 'spede'; give some of none, speed,"),
        (["some.csv", "--arms", ","], "--arms names none"),
        (["some.csv", "--world", "1"], "give files or --world, not both"),
        (["missing.csv"], "missing.csv cannot be opened"),
        (["empty.csv"], "there are no interactions in it: name another file"),
        (["one.csv"], "1 interactions are too few"),
        (["again.csv"], "there is nothing to rank"),
        ([], "there is no history yet: name a file"),
    ],
    ids=["arm", "no-arm", "both", "missing", "empty", "few", "repeats", "no-history"],
)
def test_mistakes_get_one_line_that_says_what_to_do(tmp_path: Path, arguments: list[str], told_: str) -> None:
    csv(tmp_path / "some.csv", rows())
    csv(tmp_path / "one.csv", rows()[:1])
    csv(tmp_path / "again.csv", [Interaction("u", f"i{n % 2}", 1.0, n) for n in range(20)])
    (tmp_path / "empty.csv").write_text("\n")
    result = prequential(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("oryx: ")
    assert told_ in last


def test_oryxs_rule_is_left_out_with_biases_and_refused_where_it_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "oryx.toml").write_text(SETTINGS + 'biases = true\nfeedback = "explicit"\n[batch]\ntrainer = "ials"\n')
    path = csv(tmp_path / "some.csv", rows())
    assert set(told(path)["costs"]) == set(ARMS) - {"oryx"}
    result = prequential(path, "--arms", "none,oryx")
    assert result.exit_code == 2
    assert "cannot fold into a generation with biases" in result.stderr


def test_a_model_of_more_features_than_it_has_items_for_says_that_oryxs_rule_folds_nothing(tmp_path: Path) -> None:
    result = prequential(csv(tmp_path / "some.csv", rows()), "--features", "40", "--arms", "none,oryx")
    assert result.exit_code == 0, result.output
    assert "Oryx's rule folds nothing in here" in result.stdout
    assert "near-singular" in result.stdout
