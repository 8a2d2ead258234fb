"""Finishing a generation whose data files others wrote: nothing becomes one that does not hold together."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from oryx_py.adapters.exact_index import ExactIndex
from oryx_py.errors import CorruptGeneration, StoreUnavailable, UserError
from oryx_py.events.fold import FoldSettings
from oryx_py.model.files import create_array, map_array, open_array, storage, write_span
from oryx_py.model.generations.csr import Csr
from oryx_py.model.generations.data_files import write_data
from oryx_py.model.generations.generation import Generation
from oryx_py.model.generations.manifest import MANIFEST, generation_files
from oryx_py.model.generations.writer import commit_generation, seal
from oryx_py.numerics.objective import Objective
from oryx_py.testing.generations import write_small_generation

WORDS = {
    "name": "g",
    "objective": Objective.mllib_implicit(lambda_=0.1, alpha=2.0),
    "fold": FoldSettings(feedback="implicit"),
    "trainer": "random",
    "created_ms": 1,
    "as_of_ms": 1,
    "input": {0: (0, 9)},
    "interactions": 9,
    "rejected": 0,
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_data(
        tmp_path,
        user_ids=["ann", "bob"],
        item_ids=["x", "y", "z"],
        user_factors=np.ones((2, 2)),
        item_factors=np.arange(6.0).reshape(3, 2),
        user_histories=Csr(np.array([0, 2, 3]), np.array([0, 2, 1], np.int32), np.array([1.0, 2.0, 3.0])),
    )
    return tmp_path


@pytest.mark.parametrize("threads", [1, 3])
def test_files_that_are_there_become_a_generation(data: Path, threads: int) -> None:
    manifest = commit_generation(data, seal(data, threads=threads), **WORDS)
    generation = Generation.open(data)
    assert (manifest.counts.users, manifest.counts.items, manifest.counts.pairs, manifest.features) == (2, 3, 3, 2)
    assert (manifest.index, sorted(manifest.files)) == (None, sorted(generation_files()))
    assert generation.user_histories.row(0)[1].tolist() == [1.0, 2.0]


def test_both_ways_of_writing_one_say_the_same_of_its_files(tmp_path: Path) -> None:
    manifest = write_small_generation(tmp_path, "g")
    (tmp_path / MANIFEST).unlink()
    assert seal(tmp_path, threads=2).files == manifest.files


def test_without_an_index_items_are_scanned(data: Path) -> None:
    before = sorted(data.iterdir())
    assert seal(data, ExactIndex().build).index is None
    assert sorted(data.iterdir()) == before


def test_the_index_is_built_from_the_items_as_published_and_listed(data: Path) -> None:
    def build(factors: np.ndarray, into: Path) -> str:
        (into / "index").mkdir()
        (into / "index" / "lists").write_bytes(factors.tobytes())
        return "index"

    manifest = commit_generation(data, seal(data, build), **WORDS)
    assert manifest.index == "index"
    assert manifest.files["index/lists"].bytes == 3 * 2 * 4
    assert Generation.open(data).manifest == manifest


@pytest.mark.parametrize("name", generation_files())
def test_a_file_that_is_missing_is_named(data: Path, name: str) -> None:
    (data / name).unlink()
    with pytest.raises(CorruptGeneration, match=name):
        seal(data)
    assert not (data / MANIFEST).exists()


@pytest.mark.parametrize("name", [name for name in generation_files() if "bytes" not in name])
def test_a_file_that_does_not_go_with_the_others_is_named(data: Path, name: str) -> None:
    array = np.load(data / name)
    np.save(data / name, array[:-1])
    with pytest.raises(CorruptGeneration):
        seal(data)


def test_factors_that_diverged_make_none(data: Path) -> None:
    write_factors = np.load(data / "users.npy")
    write_factors[1, 0] = np.nan
    np.save(data / "users.npy", write_factors)
    with pytest.raises(UserError, match=r"1 of 2 users are not finite; raise model\.lambda"):
        seal(data)


def test_spans_meet_in_any_order_and_stay_what_they_were_when_written_again(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    create_array(path, np.float32, (5, 2))
    whole = np.arange(10, dtype=np.float32).reshape(5, 2)
    for start, stop in ((3, 5), (0, 3), (3, 5), (2, 2)):
        assert write_span(path, start, whole[start:stop]) == (stop - start) * 8
    np.testing.assert_array_equal(map_array(path, np.float32, (5, 2)), whole)
    np.save(tmp_path / "b.npy", whole)
    assert path.stat().st_size == (tmp_path / "b.npy").stat().st_size


def test_an_array_has_its_room_before_it_is_mapped(tmp_path: Path) -> None:
    """Else a full disk is a SIGBUS in the midst of a write."""
    create_array(tmp_path / "a.npy", np.float64, (100_000,))
    assert (tmp_path / "a.npy").stat().st_blocks * 512 >= 800_000
    mapped = open_array(tmp_path / "a.npy")
    assert not mapped.any()
    mapped[:] = 1
    assert map_array(tmp_path / "a.npy", np.float64, (100_000,)).all()


def test_an_array_that_the_disk_has_no_room_for_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(StoreUnavailable, match=r"a\.npy: No space left.*check the disk's space"), storage(tmp_path):
        create_array(tmp_path / "a.npy", np.float64, (10,))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("unsupported", [errno.EOPNOTSUPP, errno.EINVAL], ids=["not-supported", "invalid"])
def test_a_file_system_that_cannot_take_room_ahead_gets_the_array_still(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unsupported: int
) -> None:
    def cannot(*_: int) -> None:
        raise OSError(unsupported, "no")

    monkeypatch.setattr(os, "posix_fallocate", cannot)
    create_array(tmp_path / "a.npy", np.float64, (10,))
    assert not map_array(tmp_path / "a.npy", np.float64, (10,)).any()


@pytest.mark.parametrize(
    ("first", "array"),
    [(4, np.zeros((2, 2), np.float32)), (-1, np.zeros((1, 2), np.float32)), (0, np.zeros((1, 2))), (0, np.zeros(2))],
)
def test_a_span_that_does_not_fit_changes_nothing(tmp_path: Path, first: int, array: np.ndarray) -> None:
    path = tmp_path / "a.npy"
    create_array(path, np.float32, (5, 2))
    with pytest.raises(ValueError, match="does not go to row"):
        write_span(path, first, array)
    assert not map_array(path, np.float32, (5, 2)).any()
