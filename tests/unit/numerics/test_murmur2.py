"""The partitions of many keys are those of each."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from oryx_py.messages import partition_of
from oryx_py.numerics.murmur2 import partitions_of


@settings(deadline=None)
@given(st.lists(st.text(max_size=11), max_size=20), st.integers(1, 40))
def test_partitions_are_those_that_kafkas_clients_choose(keys: list[str], partitions: int) -> None:
    raw = [key.encode("utf-8", "replace") for key in keys]
    offsets = np.cumsum([0, *map(len, raw)], dtype=np.int64)
    data = np.frombuffer(b"".join(raw), np.uint8)
    expected = [partition_of(key.decode(), partitions) for key in raw]
    assert partitions_of(data, offsets, partitions).tolist() == expected
