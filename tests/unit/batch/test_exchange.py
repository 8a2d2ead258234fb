"""Where tasks leave files to each other: what every such place promises."""

import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import numpy as np
import pytest

from batch_layer.task_files.exchange import Exchange
from batch_layer.task_files.folder_exchange import FolderExchange
from batch_layer.task_files.store_exchange import StoreExchange
from oryx_py.adapters.file_systems.fsspec_files import FsspecFiles
from oryx_py.adapters.places import Reach
from oryx_py.errors import StoreUnavailable


@pytest.fixture(params=["folder", "fsspec"])
def exchange(request: pytest.FixtureRequest, tmp_path: Path) -> Exchange:
    if request.param == "folder":
        return FolderExchange(tmp_path / "here")
    pytest.importorskip("fsspec")
    return StoreExchange(f"memory://{uuid4().hex}/here", Reach())


def content(exchange: Exchange, name: str) -> np.ndarray:
    found = np.empty(exchange.size(name), np.uint8)
    exchange.read(name, 0, found)
    return found


def test_any_part_of_a_file_can_be_read(exchange: Exchange) -> None:
    values = np.arange(1000, dtype=np.float32).reshape(100, 10)
    assert exchange.write("a/b", (values[at : at + 30] for at in range(0, 100, 30))) == 4000
    assert exchange.size("a/b") == 4000
    part = np.empty((7, 10), np.float32)
    exchange.read("a/b", 40 * 33, part)
    np.testing.assert_array_equal(part, values[33:40])
    exchange.read("a/b", 4000, np.empty(0, np.float32))


def test_reading_beyond_the_end_is_no_short_answer(exchange: Exchange) -> None:
    exchange.write("a", [np.ones(10, np.uint8)])
    with pytest.raises(StoreUnavailable):
        exchange.read("a", 5, np.empty(6, np.uint8))
    for missing in (lambda: exchange.read("none", 0, np.empty(1, np.uint8)), lambda: exchange.size("none")):
        with pytest.raises(StoreUnavailable):
            missing()


def test_a_writer_that_fails_leaves_what_was_there(exchange: Exchange) -> None:
    exchange.write("a", [np.full(3, 7, np.uint8)])

    def broken():
        yield np.ones(2, np.uint8)
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        exchange.write("a", broken())
    np.testing.assert_array_equal(content(exchange, "a"), np.full(3, 7))
    exchange.write("a", [np.empty((0, 4), np.float32)])
    assert exchange.size("a") == 0


def test_a_store_that_is_away_for_a_while_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("batch_layer.task_files.store_exchange.time", SimpleNamespace(sleep=pauses.append))
    place = StoreExchange(f"memory://{uuid4().hex}/here", Reach())
    place.write("a", [np.arange(4)])
    read, fails = FsspecFiles.read, [3]

    def sometimes(self: FsspecFiles, *arguments: Any) -> bytes | None:
        if fails[0]:
            fails[0] -= 1
            raise StoreUnavailable("away")
        return read(self, *arguments)

    monkeypatch.setattr(FsspecFiles, "read", sometimes)
    np.testing.assert_array_equal(content(place, "a").view(np.int64), np.arange(4))
    assert len(pauses) == 3
    fails[0] = 1000
    with pytest.raises(StoreUnavailable, match="away"):
        content(place, "a")
    assert 20 < sum(pauses[3:]) < 60


def test_what_travels_is_the_same_place(exchange: Exchange, tmp_path: Path) -> None:
    exchange.below("x").write("y", [np.arange(5)])
    again = pickle.loads(pickle.dumps(exchange))
    np.testing.assert_array_equal(content(again, "x/y").view(np.int64), np.arange(5))
    again.download("x/y", tmp_path / "copy")
    again.upload(tmp_path / "copy", "z")
    np.testing.assert_array_equal(content(exchange, "z"), content(exchange, "x/y"))
    assert sorted(exchange.names()) == ["x", "z"]
    assert list(exchange.below("none").names()) == []
    for name in ("x", "x", "none"):
        exchange.delete(name)
    with pytest.raises(StoreUnavailable):
        exchange.size("x/y")
    assert exchange.size("z") == 40
    exchange.delete()
    with pytest.raises(StoreUnavailable):
        exchange.size("z")
