"""What the generation before says is too large is refused before a row is folded."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from batch_layer.spark.fitting import foreseen
from batch_layer.spark.training import train
from oryx_py.errors import NoRoom, UserError
from oryx_py.testing.generations import write_small_generation
from tests.support.training import recipe

NAME = "20260731T142530123-7f3a9c04"


class Session:
    """Of Spark, what is asked before there is work; anything else is an error."""

    conf = SimpleNamespace(set=lambda _key, _value: None)
    sparkContext = SimpleNamespace(  # noqa: N815 - Spark's own
        master="local[2]",
        defaultParallelism=2,
        getConf=lambda: SimpleNamespace(get=lambda _key, default: default, contains=lambda _key: False),
    )


@pytest.fixture
def before(tmp_path: Path) -> Path:
    (tmp_path / "before").mkdir()
    write_small_generation(tmp_path / "before", NAME)
    return tmp_path / "before"


def begin(tmp_path: Path, before: Path | None, rows: int = 17, test_fraction: float = 0.0) -> None:
    session: Any = Session()
    (tmp_path / "into").mkdir(exist_ok=True)
    how = msgspec.structs.replace(recipe(), test_fraction=test_fraction)
    train(session, ["file:///nowhere"], how, tmp_path / "into", tmp_path, rows=rows, parent=before)


@pytest.mark.parametrize(("memory", "error"), [(1 << 50, NoRoom), (1, UserError)], ids=["for-now", "for-ever"])
def test_a_training_without_memory_is_refused_before_a_row_is_read(
    tmp_path: Path, before: Path, monkeypatch: pytest.MonkeyPatch, memory: int, error: type[UserError]
) -> None:
    monkeypatch.setattr("batch_layer.spark.fitting.choice.available_bytes", lambda: 0)
    monkeypatch.setattr("batch_layer.spark.fitting.choice.memory_bytes", lambda: memory)
    with pytest.raises(UserError, match=r"5 users, 4 items and 8 pairs .* are free") as told:
        begin(tmp_path, before)
    assert type(told.value) is error


def test_it_is_read_where_there_is_memory_or_nothing_is_known(
    tmp_path: Path, before: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(AttributeError):  # by what reads the rows
        begin(tmp_path, before)
    monkeypatch.setattr("batch_layer.spark.fitting.choice.available_bytes", lambda: 0)
    for rows, parent in ((17, None), (16, before), (17, tmp_path / "missing")):
        with pytest.raises(AttributeError):
            begin(tmp_path, parent, rows)


@pytest.mark.parametrize("known", [True, False], ids=["after-another", "first"])
def test_a_disk_without_room_is_refused_before_a_row_is_read(
    tmp_path: Path, before: Path, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=17 * 40 - 1))
    with pytest.raises(NoRoom, match="the shuffle of 17 rows" + (".*8 pairs and the generation" if known else " take")):
        begin(tmp_path, before if known else None)


def test_an_evaluation_needs_the_room_of_its_model_too(
    tmp_path: Path, before: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stays until the generation is there; without the room the run ended when that was to be folded."""
    enough = 17 * 40 + 8 * 14 + sum(path.stat().st_size for path in before.glob("*.npy"))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=enough))
    with pytest.raises(AttributeError):  # by what reads the rows
        begin(tmp_path, before)
    with pytest.raises(NoRoom, match="the model to be evaluated"):
        begin(tmp_path, before, test_fraction=0.1)


def test_rows_that_left_the_history_may_have_taken_pairs_with_them(tmp_path: Path, before: Path) -> None:
    counts = foreseen(before, 17)
    assert counts is not None
    assert (counts.users, counts.items, counts.pairs) == (5, 4, 8)
    assert foreseen(before, 16) is None
    assert foreseen(tmp_path / "missing", 17) is None
    assert foreseen(None, 17) is None
