"""Generations: what is written is what is read, and what does not fit is refused on both sides."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oryx_py.errors import CorruptGeneration, NotReady, StoreUnavailable, UserError
from oryx_py.events.fold import FoldSettings
from oryx_py.model.files import adopt_file
from oryx_py.model.generations.generation import Csr, Generation, named_at_ms, new_generation_name
from oryx_py.model.generations.manifest import MANIFEST, read_manifest, write_manifest
from oryx_py.testing.generations import write_small_generation

NAME = "20260731T121320123-0000002a"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    into = tmp_path / NAME
    into.mkdir()
    return into


def reseal(path: Path, name: str, array: np.ndarray) -> None:
    """Exchange a file and state the new one in the manifest: what a faulty writer would leave."""
    (path / name).unlink()
    np.save(path / name, array)
    manifest = read_manifest(path / MANIFEST)
    write_manifest(
        path / MANIFEST, msgspec.structs.replace(manifest, files=manifest.files | {name: adopt_file(path / name)})
    )


@pytest.mark.parametrize("verify", ["sizes", "checksums"])
def test_what_is_written_is_read(path: Path, verify: Any) -> None:
    rng = np.random.default_rng(5)
    X, Y = rng.normal(size=(5, 3)).astype(np.float32), rng.normal(size=(4, 3)).astype(np.float32)
    manifest = write_small_generation(path, NAME)
    generation = Generation.open(path, verify=verify)
    assert (generation.name, generation.path, generation.manifest) == (NAME, path, manifest)
    assert generation.users.ids(range(5)) == ["Zoë", "ann", "bob", "李", "🦉"]
    assert generation.items.ids(range(4)) == ["i1", "i10", "i2", "æther"]
    assert np.array_equal(generation.user_factors, X)
    assert np.array_equal(generation.item_factors, Y)
    np.testing.assert_allclose(generation.user_gram, sum(np.outer(x, x) for x in X.astype(np.float64)), rtol=1e-12)
    np.testing.assert_allclose(generation.item_gram, sum(np.outer(y, y) for y in Y.astype(np.float64)), rtol=1e-12)
    by_user = [[(0, 2.5), (1, -1.0), (2, 1.0)], [(0, 0.0)], [(0, 1e-3), (1, 3.0)], [(2, 7.0)], [(2, 1.0)]]
    assert [pairs(generation.user_histories, row) for row in range(5)] == by_user
    by_item = [[(u, s) for u in range(5) for i, s in by_user[u] if i == item] for item in range(4)]
    assert [pairs(generation.item_histories, row) for row in range(4)] == by_item
    assert by_item[3] == []
    assert (manifest.features, manifest.feedback) == (3, "implicit")
    assert manifest.dedupe_from == {1: (5, 1_785_400_000_000)}
    assert msgspec.structs.astuple(manifest.counts) == (5, 4, 8, 17, 1, 2)
    assert {"python", "numpy", "oryx-py"} <= set(manifest.versions)


def pairs(histories: Csr, row: int) -> list[tuple[int, float]]:
    indices, strengths = histories.row(row)
    return list(zip(indices.tolist(), strengths.tolist(), strict=True))


def test_nothing_of_it_can_be_written_to(path: Path) -> None:
    write_small_generation(path, NAME)
    generation = Generation.open(path)
    for array in (
        generation.user_factors,
        generation.item_gram,
        generation.user_gram,
        generation.item_histories.strengths,
        generation.user_histories.indptr,
    ):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_an_index_already_there_becomes_part_of_it(path: Path) -> None:
    (path / "fast" / "parts").mkdir(parents=True)
    (path / "fast" / "parts" / "0").write_bytes(b"lists")
    (path / "items.titles.parquet").write_bytes(b"a table")
    manifest = write_small_generation(path, NAME, index="fast")
    assert manifest.index == "fast"
    assert manifest.files["fast/parts/0"].bytes == 5
    assert manifest.files["items.titles.parquet"].bytes == 7
    Generation.open(path)
    (path / "fast" / "parts" / "0").write_bytes(b"other")
    with pytest.raises(CorruptGeneration, match="fast/parts/0"):
        Generation.open(path)


def test_wider_numbers_are_published_as_float32(path: Path) -> None:
    """And the Gram matrix is that of what is published."""
    factors = np.random.default_rng(1).normal(size=(4, 3))
    write_small_generation(path, NAME, item_factors=factors)
    generation = Generation.open(path)
    published = factors.astype(np.float32).astype(np.float64)
    assert np.array_equal(generation.item_factors, factors.astype(np.float32))
    np.testing.assert_allclose(generation.item_gram, published.T @ published, rtol=1e-12)


def test_offsets_by_partition_may_come_as_json_has_them(path: Path) -> None:
    assert write_small_generation(path, NAME, input={"3": [1, np.int64(9)]}).input == {3: (1, 9)}


def small(*strengths: float) -> Csr:
    """One pair a user, all of item 0, or as many as are given."""
    return Csr(np.arange(6), np.zeros(5, np.int32), np.array(strengths or [1.0] * 5, np.float64))


@pytest.mark.parametrize(
    ("changes", "error", "reason"),
    [
        ({"user_ids": [], "user_factors": np.empty((0, 3))}, NotReady, "no users .*send interactions"),
        ({"item_ids": [], "item_factors": np.empty((0, 3))}, NotReady, "no items .*send interactions"),
        ({"user_factors": np.full((5, 3), np.nan)}, UserError, r"5 of 5 users are not finite; raise model\.lambda"),
        ({"item_factors": np.full((4, 3), 1e39)}, UserError, "4 of 4 items are not finite"),
        ({"user_factors": np.ones((4, 3))}, ValueError, "do not go with 5 IDs"),
        ({"user_factors": np.ones(5)}, ValueError, "do not go with 5 IDs"),
        ({"user_factors": np.ones((5, 0)), "item_factors": np.ones((4, 0))}, ValueError, "do not go with 5 IDs"),
        ({"item_factors": np.ones((4, 2))}, ValueError, "users have 3 features, items 2"),
        ({"user_ids": ["a", "b", "d", "c", "e"]}, ValueError, "must ascend"),
        ({"item_ids": ["a", "b", "b", "c"]}, ValueError, "must ascend"),
        ({"fold": FoldSettings(feedback="explicit")}, ValueError, "explicit"),
        ({"user_histories": Csr(np.array([0, 0]), np.empty(0, np.int32), np.empty(0))}, ValueError, "1 rows for 5"),
        ({"user_histories": small(1, 1, np.inf, 1, 1)}, ValueError, "strengths is not all finite"),
        (
            {"user_histories": Csr(np.array([0, 1, 1, 3, 4, 5]), np.array([0, 1, 2, 0, 0]), np.ones(5))},
            ValueError,
            "row 1 has no history",
        ),
        (
            {"user_histories": Csr(np.array([0, 1, 2, 4, 5, 6]), np.array([0, 1, 2, 2, 0, 0]), np.ones(6))},
            ValueError,
            "twice",
        ),
        ({"user_histories": Csr(np.arange(6), np.full(5, 4), np.ones(5))}, ValueError, "not all in 0 … 3"),
    ],
)
def test_what_is_no_generation_is_not_written(
    path: Path, changes: dict[str, Any], error: type[Exception], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        write_small_generation(path, NAME, **changes)
    assert not (path / MANIFEST).exists()


def test_a_generation_is_written_once(path: Path) -> None:
    write_small_generation(path, NAME)
    with pytest.raises(ValueError, match="written once"):
        write_small_generation(path, NAME)


def test_a_directory_that_is_not_there_is_one_line(path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="No such file or directory"):
        write_small_generation(path / "missing", NAME)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("users.npy", lambda a: np.full_like(a, np.nan)),
        ("items.npy", lambda a: a.astype(np.float64)),
        ("items.npy", lambda a: a.T.copy()),
        ("users.npy", np.asfortranarray),
        ("users.npy", lambda a: a[:-1]),
        ("users.gram.npy", lambda a: np.full_like(a, np.inf)),
        ("items.gram.npy", lambda a: a[:2, :2].copy()),
        ("users.history.indptr.npy", lambda a: a[::-1].copy()),
        ("items.history.indptr.npy", lambda a: a[:-1]),
        ("items.history.indptr.npy", lambda a: a - a // 8),
        ("users.history.indices.npy", lambda a: a + 2),
        ("users.history.indices.npy", lambda a: a - 1),
        ("users.history.indices.npy", np.zeros_like),
        ("items.history.indices.npy", lambda a: a[::-1].copy()),
        ("items.history.indices.npy", lambda a: a.astype(np.int64)),
        ("items.history.strengths.npy", lambda a: a[:-1]),
        ("users.history.strengths.npy", lambda a: np.full_like(a, np.nan)),
        ("users.ids.rows.npy", np.zeros_like),
        ("users.ids.offsets.npy", lambda a: a[:-1]),
        ("items.ids.hashes.npy", lambda a: a[::-1].copy()),
        ("items.ids.bytes.npy", lambda a: a[::-1].copy()),
    ],
)
def test_a_faulty_writers_files_are_named(path: Path, name: str, change: Callable[[Any], Any]) -> None:
    """Sizes and checksums are right, but the content is not."""
    write_small_generation(path, NAME)
    reseal(path, name, change(np.load(path / name)))
    with pytest.raises(CorruptGeneration, match=re.escape(name) + ".*restore it from a copy"):
        Generation.open(path)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"features": 0}, "0 features"),
        ({"files": {}}, "does not list items.gram.npy"),
        ({"features": 4}, r"users\.npy holds float32 5×3, not float32 5×4"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(path: Path, changes: dict[str, Any], reason: str) -> None:
    write_small_generation(path, NAME)
    manifest = read_manifest(path / MANIFEST)
    write_manifest(path / MANIFEST, msgspec.structs.replace(manifest, **changes))
    with pytest.raises(CorruptGeneration, match=reason):
        Generation.open(path)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "index/../../secret"])
def test_files_outside_are_never_looked_at(path: Path, name: str) -> None:
    write_small_generation(path, NAME)
    manifest = read_manifest(path / MANIFEST)
    files = manifest.files | {name: manifest.files["users.npy"]}
    write_manifest(path / MANIFEST, msgspec.structs.replace(manifest, files=files))
    with pytest.raises(CorruptGeneration, match="is outside"):
        Generation.open(path)


def test_a_file_that_the_system_does_not_give_is_one_line(path: Path) -> None:
    write_small_generation(path, NAME)
    (path / "users.npy").unlink()
    (path / "users.npy").symlink_to("users.npy")
    with pytest.raises(StoreUnavailable, match=r"users\.npy: Too many levels of symbolic links; check the disk"):
        Generation.open(path)


@given(st.lists(st.integers(0, 4_102_444_800_000), min_size=2, max_size=2), st.integers(0, 2**32))
def test_names_sort_by_time(times: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    early, late = (new_generation_name(ms, rng) for ms in sorted(times))
    assert early[:18] <= late[:18]
    assert (early[:18] == late[:18]) == (times[0] == times[1])
    assert [named_at_ms(early), named_at_ms(late)] == sorted(times)


@pytest.mark.parametrize("name", ["", "g1", "20260731T251320123-7f3a9c04"])
def test_of_another_name_no_time_is_told(name: str) -> None:
    assert named_at_ms(name) is None


def test_names_are_utc_and_random() -> None:
    rng = np.random.default_rng(0)
    names = {new_generation_name(1_785_500_000_123, rng) for _ in range(100)}
    assert len(names) == 100
    assert all(re.fullmatch(r"20260731T121320123-[0-9a-f]{8}", name) for name in names)
