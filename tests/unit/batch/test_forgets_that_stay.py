"""Forgets outlive the rows that limits drop: what is imported later is older still, and would bring somebody back."""

from pathlib import Path
from typing import Any

import pytest

from batch_layer.housekeeping.merge_planning import to_merge
from batch_layer.housekeeping.row_retention import DAY_MS, Limits
from oryx_py.events import FoldSettings
from tests.support.batch import slow_fold
from tests.support.histories import HistoryWorld

FOLD = FoldSettings("implicit", dedupe_window_s=10.0, dedupe_records=100)
LIMITS = Limits(max_age_days=30)


def did(user: str, item: str, strength: float | None = 1.0, *, key: bytes | None = None, passed: int = 1) -> Any:
    return (user, item, strength), key, passed


@pytest.fixture
def world(tmp_path: Path) -> HistoryWorld:
    """Ann and a cup were forgotten forty days ago, and all rows of then are dropped."""
    world = HistoryWorld(tmp_path)
    world.add("input", [did("ann", "tea"), did("bob", "tea"), did("bob", "cup"), did("bob", "pot")])
    world.add("input", [did("ann", "", None), did("", "cup", None), did("bob", "tea")])
    world.prune(FOLD, LIMITS)
    later(world, did("bob", "egg", passed=40 * DAY_MS))
    return world


def later(world: HistoryWorld, told: Any) -> None:
    """Take something in, and drop what is too old by then and no generation needs any more."""
    world.add("input", [told])
    world.prune(FOLD, LIMITS)
    world.prune(FOLD, LIMITS)


def said(world: HistoryWorld) -> dict[str, dict[str, float]]:
    return slow_fold(world.rows(), FOLD)


def forgets(world: HistoryWorld) -> set[tuple[str, str]]:
    return {(row["user"], row["item"]) for row in world.rows() if not (row["user"] and row["item"])}


def test_they_stay_alone_when_their_day_is_dropped(world: HistoryWorld) -> None:
    assert said(world) == {"bob": {"egg": 1.0}}
    assert forgets(world) == {("ann", ""), ("", "cup")}
    assert len(world.rows()) == 1 + 1 + 2, "an item's in each partition"
    assert world.on_disk() == {file.path for file in world.log.read().files}


def test_what_is_imported_later_brings_nobody_back(world: HistoryWorld) -> None:
    world.add("import", [did("ann", "tea"), did("bob", "cup"), did("bob", "jam")])
    world.prune(FOLD)
    assert said(world) == {"bob": {"egg": 1.0, "jam": 1.0}}
    assert {row["user"] for row in world.rows() if row["strength"] is not None} == {"bob"}


def test_they_are_dropped_no_more_and_nothing_is_done_for_them(world: HistoryWorld) -> None:
    number = world.log.read().number
    world.prune(FOLD, LIMITS)
    assert world.log.read().number == number
    assert to_merge(world.log.read()) == []


def test_there_is_one_file_of_them_however_often_days_are_dropped(world: HistoryWorld) -> None:
    world.add("input", [did("bob", "", None), did("cid", "tea")])
    world.prune(FOLD, LIMITS)
    later(world, did("cid", "egg", passed=40 * DAY_MS))
    assert said(world) == {"cid": {"egg": 1.0}}
    assert forgets(world) == {("ann", ""), ("bob", ""), ("", "cup")}
    assert sum(file.carried for file in world.log.read().files) == 1
    before = {file.path for file in world.log.read().files if file.carried}
    later(world, did("cid", "jam", passed=40 * DAY_MS))
    assert said(world) == {"cid": {"jam": 1.0}}
    assert before == {file.path for file in world.log.read().files if file.carried}, "no new forget, no new file"
    world.add("import", [did("ann", "tea"), did("bob", "tea"), did("bob", "cup"), did("cid", "cup")])
    world.prune(FOLD)
    assert said(world) == {"cid": {"jam": 1.0}}


def test_one_that_only_repeats_another_is_no_forget(tmp_path: Path) -> None:
    world = HistoryWorld(tmp_path)
    world.add("input", [did("ann", "", None, key=b"1"), did("ann", "tea"), did("ann", "", None, key=b"1")])
    world.add("input", [did("bob", "egg", passed=40 * DAY_MS)])
    world.prune(FOLD, LIMITS)
    assert [row["offset"] for row in world.rows() if row["user"] == "ann"] == [0]


def test_an_import_that_is_dropped_leaves_none(tmp_path: Path) -> None:
    """They come before all imports after it, and forget nothing any more."""
    world = HistoryWorld(tmp_path)
    world.add("import", [did("ann", "tea"), did("ann", "", None)])
    world.add("input", [did("bob", "egg", passed=40 * DAY_MS)])
    world.prune(FOLD, LIMITS)
    assert forgets(world) == set()
