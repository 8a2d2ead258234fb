"""Folded pairs between tasks: a part is whole or not there, and the items of all parts are numbered once."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_layer.folding.arrow_files import read_strings, write_strings
from batch_layer.folding.fold_stream import PAIRS_SCHEMA
from batch_layer.folding.item_ranges import range_edges, sampled, within
from batch_layer.folding.part_files import PartCounts, in_order, read_part, starts, write_part

Pairs = Sequence[tuple[str, str, float]]
PAIRS = [("ann", "tea", 3.0), ("ann", "æther", -1.0), ("bob", "jam", 0.0), ("🦉", "jam", 2.0), ("🦉", "tea", 1e30)]


def batches(pairs: Pairs, size: int = 2) -> list[pa.RecordBatch]:
    columns = ("user", "item", "strength")
    rows = [dict(zip(columns, pair, strict=True)) for pair in pairs]
    return [pa.RecordBatch.from_pylist(rows[at : at + size], PAIRS_SCHEMA) for at in range(0, len(rows), size)]


def test_a_part_comes_back_as_it_was_written(tmp_path: Path) -> None:
    """However it was cut into batches."""
    for size in (1, 2, 9):
        counts = write_part(tmp_path / "part", 7, batches(PAIRS, size))
        assert counts is not None
        assert counts[:6] == (7, "ann", "🦉", 3, 5, len("annbob🦉".encode()))
        part = read_part(tmp_path / "part")
        assert part.users.to_pylist() == ["ann", "bob", "🦉"]
        assert part.ends.tolist() == [2, 3, 5]
        assert part.items.to_pylist() == ["jam", "tea", "æther"]
        assert part.items.take(pa.array(part.codes)).to_pylist() == [item for _, item, _ in PAIRS]
        assert part.strengths.tolist() == [strength for _, _, strength in PAIRS]
        assert counts.file_bytes == (tmp_path / "part").stat().st_size


def test_the_same_pairs_give_the_same_file(tmp_path: Path) -> None:
    """Over one that is there, so that a second attempt at a task does no harm; and nothing else is left."""
    write_part(tmp_path / "part", 1, batches(PAIRS, 2))
    first = (tmp_path / "part").read_bytes()
    write_part(tmp_path / "part", 1, batches(PAIRS, 3))
    assert (tmp_path / "part").read_bytes() == first
    assert [path.name for path in tmp_path.iterdir()] == ["part"]


def test_a_task_without_a_pair_leaves_no_file(tmp_path: Path) -> None:
    assert write_part(tmp_path / "part", 1, []) is None
    assert list(tmp_path.iterdir()) == []


def part_of(number: int, first: str, last: str) -> PartCounts:
    return PartCounts(number, first, last, users=10 * number, pairs=100 * number, user_bytes=number, file_bytes=1)


def test_parts_follow_their_users_and_not_their_numbers() -> None:
    parts = in_order([part_of(1, "z", "ä"), part_of(2, "a", "m"), part_of(3, "n", "y")])
    assert [part.number for part in parts] == [2, 3, 1]
    assert starts(parts) == [(0, 0, 0), (20, 200, 2), (50, 500, 5), (60, 600, 6)]


def test_parts_that_overlap_are_refused() -> None:
    with pytest.raises(ValueError, match="parts 1 and 2 are no ranges"):
        in_order([part_of(2, "m", "z"), part_of(1, "a", "m")])


WORDS = st.text(alphabet="aäz🦉", min_size=1, max_size=3)


@settings(deadline=None, max_examples=50)
@given(dictionaries=st.lists(st.sets(WORDS, min_size=1), min_size=1, max_size=4), ranges=st.integers(1, 5))
def test_the_ranges_have_every_item_once_in_bytewise_order(dictionaries: list[set[str]], ranges: int) -> None:
    arrays = [pa.array(sorted(each, key=str.encode)) for each in dictionaries]
    edges = range_edges([name for strings in arrays for name in sampled(strings)], ranges)
    assert 1 <= len(edges) <= ranges
    found = [name for bounds in edges for name in within(arrays, bounds).to_pylist()]
    assert found == sorted(set().union(*dictionaries), key=str.encode)


def test_strings_come_back_from_a_file(tmp_path: Path) -> None:
    write_strings(tmp_path / "ids", pa.array(["a", "🦉"]))
    assert read_strings(tmp_path / "ids").to_pylist() == ["a", "🦉"]
