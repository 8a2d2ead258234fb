"""The mapped table of IDs, against a dictionary."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oryx_py.errors import CorruptGeneration
from oryx_py.model.files import map_array
from oryx_py.model.ids.id_table import IdTable, id_files, write_ids
from oryx_py.model.ids.packed_ids import PackedIds

SOME = ["", "a", "a\x01", "b", "a\0", "é", "e\u0301", "李", "🦉", "z" * 1024, "\ud800", "a" * 8, "a" * 9, "\U0010ffff"]

ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
alike = st.text("ab\0é", min_size=1, max_size=20)
sets_of_ids = st.one_of(st.sets(ids, min_size=1, max_size=40), st.sets(alike, min_size=1, max_size=200))


def weak_hash(encoded: bytes) -> int:
    """Three different values, the highest there is among them."""
    return (len(encoded) % 3) * (2**63 - 1) + (len(encoded) % 3 == 2)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> "Places":
    return Places(tmp_path_factory.mktemp("ids"))


class Places:
    """A new directory each time, also within one test."""

    def __init__(self, root: Path) -> None:
        self._root, self._count = root, 0

    def new(self) -> Path:
        self._count += 1
        place = self._root / str(self._count)
        place.mkdir()
        return place


@pytest.mark.parametrize("hashing", [{}, {"hash_function": weak_hash}], ids=["xxh3", "colliding hashes"])
@settings(deadline=None)
@given(known=sets_of_ids, asked=st.lists(st.one_of(ids, alike, st.sampled_from(SOME)), max_size=30))
def test_a_table_is_a_dictionary(places: Places, hashing: dict[str, object], known: set[str], asked: list[str]) -> None:
    rows = sorted(known)
    expected = {name: row for row, name in enumerate(rows)}
    place = places.new()
    files = write_ids(place, "users", rows, **hashing)
    assert list(files) == id_files("users")
    table = IdTable.open(place, "users", **hashing)
    table.check(place, "users")
    everything = [*rows, *asked, *rows]
    answers = [expected.get(name, -1) for name in everything]
    assert len(table) == len(rows)
    assert [table.find(name) for name in everything] == answers
    assert table.find_many(everything).tolist() == answers
    assert [table.id(row) for row in range(len(rows))] == rows
    assert table.ids(range(len(rows))) == rows
    assert table.ids(np.array([len(rows) - 1, 0], np.int32)) == [rows[-1], rows[0]]


def test_find_many_of_none_and_of_many(places: Places) -> None:
    place = places.new()
    rows = sorted(f"item {n}" for n in range(70_000))
    write_ids(place, "items", rows)
    table = IdTable.open(place, "items")
    assert table.find_many([]).tolist() == []
    assert table.ids([]) == []
    asked = [*reversed(rows), "item -1"]
    assert table.find_many(asked).tolist() == [*reversed(range(70_000)), -1]


def test_the_hashes_are_xxh3_64_so_that_other_programs_can_look_up_too(places: Places) -> None:
    """Pinned to the reference implementation's value for "a" without a seed."""
    place = places.new()
    write_ids(place, "users", ["a"])
    assert map_array(place / "users.ids.hashes.npy", np.uint64, (1,)).tolist() == [0xE6C632B61E964E1F]


@pytest.mark.parametrize("row", [-1, 2, 10**12])
def test_what_is_no_row_is_an_index_error(places: Places, row: int) -> None:
    place = places.new()
    write_ids(place, "users", ["a", "b"])
    table = IdTable.open(place, "users")
    with pytest.raises(IndexError):
        table.id(row)
    with pytest.raises(IndexError):
        table.ids([0, row])


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
@settings(deadline=None)
@given(known=sets_of_ids, cut=st.integers(0, 5))
def test_arrow_strings_are_taken_by_their_buffers(known: set[str], cut: int, kind: pa.DataType) -> None:
    rows = sorted(known)
    packed = PackedIds.of(pa.array(rows, kind)[cut:])
    expected = PackedIds.of(rows[cut:])
    assert np.array_equal(packed.offsets, expected.offsets)
    assert np.array_equal(packed.data, expected.data)
    assert packed.encoded() == [name.encode() for name in rows[cut:]]


def test_arrow_arrays_that_are_no_ids_are_refused() -> None:
    with pytest.raises(ValueError, match="1 IDs are null"):
        PackedIds.of(pa.array(["a", None]))
    with pytest.raises(ValueError, match="cast it to string"):
        PackedIds.of(pa.array([1, 2]))
    assert len(PackedIds.of(pa.array([], pa.string()))) == 0


@settings(deadline=None)
@given(st.lists(st.one_of(ids, alike), max_size=30))
def test_disorder_is_the_first_row_not_below_the_next(names: list[str]) -> None:
    encoded = [name.encode() for name in names]
    wrong = [row for row in range(len(encoded) - 1) if encoded[row] >= encoded[row + 1]]
    assert PackedIds.of(names).disorder() == (wrong[0] if wrong else -1)


@settings(deadline=None)
@given(st.sets(ids, min_size=1))
def test_sorted_python_strings_are_in_order(names: set[str]) -> None:
    """UTF-8 keeps the order of code points, so callers need no other sort."""
    assert PackedIds.of(sorted(names)).disorder() == -1


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (["b", "a"], "row 0 has b'b' and the next b'a'"),
        (["a", "b", "b"], "row 1 has b'b' and the next b'b'"),
        (["", "a"], "row 0 of users is empty"),
        (["a", "\ud800"], "surrogates not allowed"),
    ],
)
def test_what_cannot_be_a_table_is_not_written(places: Places, rows: list[str], reason: str) -> None:
    place = places.new()
    with pytest.raises(ValueError, match=reason):
        write_ids(place, "users", rows)
    assert list(place.iterdir()) == []


@pytest.mark.parametrize(
    ("part", "array"),
    [
        ("offsets", np.array([0, 1, 3, 2], np.int64)),
        ("offsets", np.array([1, 1, 2, 3], np.int64)),
        ("offsets", np.array([0, 0, 2, 3], np.int64)),
        ("offsets", np.array([0, 2, 1, 3], np.int64)),
        ("offsets", np.array([0, 1, 2], np.int64)),
        ("offsets", np.array([], np.int64)),
        ("offsets", np.array([0, 1, 2, 3], np.int32)),
        ("bytes", np.frombuffer(b"abcd", np.uint8)),
        ("bytes", np.frombuffer(b"ab\xff", np.uint8)),
        ("bytes", np.frombuffer("aé".encode(), np.uint8)),
        ("bytes", np.frombuffer(b"acb", np.uint8)),
        ("bytes", np.frombuffer(b"abb", np.uint8)),
        ("hashes", np.array([3, 2, 4], np.uint64)),
        ("hashes", np.array([1, 2], np.uint64)),
        ("rows", np.array([0, 1, 1], np.int32)),
        ("rows", np.array([0, 1, 3], np.int32)),
        ("rows", np.array([0, -1, 2], np.int32)),
        ("rows", np.array([[0, 1, 2]], np.int32)),
    ],
)
def test_files_that_do_not_fit_are_named(places: Places, part: str, array: np.ndarray) -> None:
    place = places.new()
    write_ids(place, "users", ["a", "b", "c"])
    path = place / f"users.ids.{part}.npy"
    path.unlink()
    np.save(path, array)
    with pytest.raises(CorruptGeneration, match=r"users\.ids\.\w+\.npy.*restore it"):
        IdTable.open(place, "users").check(place, "users")
