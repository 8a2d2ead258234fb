"""``oryx plan`` and ``oryx world`` as a user meets them."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner, Result

from oryx_py.cli.main import app
from oryx_py.runtime.machine import memory_bytes

SIZE = ["--users", "10M", "--items", "2M", "--interactions", "1B", "--features", "128"]


@pytest.fixture(autouse=True)
def an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def oryx(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_it_says_what_every_step_and_layer_takes() -> None:
    result = oryx("plan", *SIZE, "--machine", "16,64G")
    assert result.exit_code == 0, result.stderr
    assert "10M users, 2M items, 1B interactions, 128 features" in result.stdout
    for step in ("topic", "history", "prepare", "train", "solve", "artefact", "serving", "speed"):
        assert f"\n{step} " in result.stdout
    assert "\nfits\n" in result.stdout
    assert "all in memory: one machine with" in result.stdout


def test_what_does_not_fit_is_said_with_its_arithmetic() -> None:
    result = oryx("plan", *SIZE, "--machine", "2,4G")
    assert result.exit_code == 0
    assert "does not fit: training in blocks needs" in result.stdout


def test_pairs_that_nobody_gave_are_as_many_as_there_can_be() -> None:
    result = oryx("plan", "--users", "1000", "--items", "500", "--interactions", "1M")
    assert result.exit_code == 0, result.stderr
    assert "1M interactions (500K pairs)" in result.stdout


def test_the_disk_is_part_of_the_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "does not fit: preparing and training write" in oryx("plan", *SIZE, "--machine", "16,64G,20G").stdout
    assert "\nfits\n" in oryx("plan", *SIZE, "--machine", "16,64G,1T").stdout
    small = ["--users", "1M", "--items", "10K", "--interactions", "10M", "--features", "8"]
    for free, says in ((1 << 20, "1.0 MiB are free"), (1 << 50, "\nfits\n")):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: SimpleNamespace(free=free))
        assert says in oryx("plan", *small).stdout


def test_as_json_it_is_bytes_and_seconds() -> None:
    found = json.loads(oryx("plan", *SIZE, "--machine", "8,32G", "--executors", "4", "--json").stdout)
    assert found["machines"] == {
        "cores": 8, "memory": 32 << 30, "count": 4, "disk": None, "training": "auto", "task_memory": 0
    }  # fmt: skip
    assert [step["name"] for step in found["steps"]][3] == "train"
    assert found["obstacle"] is None
    assert found["suited"]["machine"]["memory"] >= 32 << 30


def test_what_nothing_has_room_for_gets_no_machine() -> None:
    size = ["--users", "2B", "--items", "1B", "--interactions", "1T", "--features", "4096"]
    result = oryx("plan", *size, "--machine", "16,64G")
    assert result.exit_code == 0, result.stderr
    assert "all in memory: no machine" in result.stdout
    assert "take machines with more than" in result.stdout


def test_the_settings_of_the_file_have_a_part_in_it(tmp_path: Path) -> None:
    def planned(settings: str) -> str:
        (tmp_path / "oryx.toml").write_text(settings)
        result = oryx("plan", "--users", "10M", "--items", "2M", "--interactions", "1B", "--machine", "4,24G")
        assert result.exit_code == 0, result.stderr
        return result.stdout

    assert "\nfits\n" in planned("[model]\nfeatures = 64\n")
    line = planned('[model]\nfeatures = 64\n[batch]\ntraining_tasks = "one"\n')
    assert 'does not fit: training alone, as batch.training_tasks = "one" says' in line
    assert "in blocks" in planned("[model]\nfeatures = 64\n[batch]\ntask_memory_bytes = 1_000_000_000\n")
    biased = planned('[model]\nfeatures = 64\nfeedback = "explicit"\nbiases = true\n')
    assert "66 features" in biased, "vectors with biases are two longer"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--users", "3B"], "3,000,000,000 are more than row numbers have room for"),
        (["--users", "tenM"], "--users is 'tenM': give a count like"),
        (["--machine", "16"], "--machine is '16': give cores and memory, like 16,64G"),
        (["--machine", "16,much"], "--machine is 'much': give a size like"),
        (["--pairs", "2B"], "fold to at most as many pairs"),
    ],
)
def test_a_mistake_gets_one_line(arguments: list[str], says: str) -> None:
    result = oryx("plan", *SIZE, *arguments)
    assert result.exit_code == 2
    assert says in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_world_goes_into_a_new_folder_alone(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "work of years").touch()
    result = oryx("world", "--users", "10", "--items", "90", "--interactions", "30", "--out", "there")
    assert result.exit_code == 2
    assert "there is there already" in result.stderr


def test_a_containers_limit_is_the_memory_that_there_is(tmp_path: Path) -> None:
    (tmp_path / "limit").write_text("123456\n")
    (tmp_path / "none").write_text("max\n")
    assert memory_bytes((tmp_path / "limit", tmp_path / "not there")) == 123456
    assert memory_bytes((tmp_path / "none",)) == memory_bytes(()) > 10**8
