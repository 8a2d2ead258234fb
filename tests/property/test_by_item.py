"""Looking for an item among what waits finds what going through all of it finds, and goes through each part once."""

from dataclasses import dataclass, field

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from speed_layer.micro_batches.item_index import ItemIndex

PARTITIONS = 3
Touch = tuple[int, int, int]
"""User, item and partition."""
touches = st.tuples(st.integers(0, 5), st.integers(-1, 4), st.integers(0, PARTITIONS - 1))


@dataclass
class Part:
    touches: list[Touch]
    reads: list[str] = field(default_factory=list)

    def _column(self, at: int) -> NDArray[np.int64]:
        return np.array([touch[at] for touch in self.touches], np.int64)

    @property
    def users(self) -> NDArray[np.int64]:
        self.reads.append("users")
        return self._column(0)

    @property
    def items(self) -> NDArray[np.int64]:
        return self._column(1)

    @property
    def partitions(self) -> NDArray[np.int64]:
        return self._column(2)


@given(st.lists(st.tuples(st.lists(touches, max_size=12), st.tuples(st.integers(-1, 5), st.integers(0, 2)))))
def test_each_look_finds_whoever_has_come_until_then(steps: list[tuple[list[Touch], tuple[int, int]]]) -> None:
    by_item, parts = ItemIndex(PARTITIONS), list[Part]()
    for some, (item, partition) in steps:
        parts.append(Part(some))
        expected = [user for part in parts for user, of, at in part.touches if (of, at) == (item, partition)]
        assert sorted(by_item.users(parts, item, partition).tolist()) == sorted(expected)
        assert sorted(by_item.users(parts, item, partition).tolist()) == sorted(expected)
    assert all(part.reads == ["users"] for part in parts)


def test_looks_go_through_few_runs_however_many_parts_come() -> None:
    by_item, parts = ItemIndex(PARTITIONS), list[Part]()
    for number in range(1000):
        parts.append(Part([(number, number % 7, 0)]))
        by_item.users(parts, 1, 0)
    assert len(by_item._runs) <= 10
    assert len(by_item.users(parts, 1, 0)) == 143
