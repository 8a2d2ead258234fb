"""The best scores, always in the same order."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from oryx_py.numerics.ranking.topn import top_n

# Few different values, so that there are ties, also where the list is cut.
SCORES = st.lists(
    st.one_of(st.sampled_from([0.0, -0.0, 1.0, -1.0, math.inf, -math.inf, math.nan]), st.floats(width=32)), max_size=40
)


def slow(scores: list[float], n: int, rank: list[int]) -> list[int]:
    """Sort everything by (score descending, rank)."""
    keys = [(math.inf if math.isnan(s) else -s, rank[i], i) for i, s in enumerate(scores)]
    return [key[-1] for key in sorted(keys)][:n]


@given(scores=SCORES, n=st.integers(0, 45))
def test_it_is_the_head_of_the_full_sort(scores: list[float], n: int) -> None:
    best = top_n(np.array(scores, dtype=np.float32), n)
    assert best.dtype == np.int64
    assert best.tolist() == slow(scores, n, list(range(len(scores))))


@given(scores=SCORES, n=st.integers(0, 45), data=st.data())
def test_ties_follow_the_rank_that_is_given(scores: list[float], n: int, data: st.DataObject) -> None:
    rank = data.draw(st.permutations(range(len(scores))))
    best = top_n(np.array(scores, dtype=np.float32), n, np.array(rank, dtype=np.int64))
    assert best.tolist() == slow(scores, n, list(rank))
