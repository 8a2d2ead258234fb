"""Metrics against figures worked out by hand, and against their definitions."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oryx_py.numerics.ranking.metrics import average_precision, hit_rate, ndcg, recall_at_k

RANKED = np.array([4, 2, 9, 7, 1])


def test_recall_divides_by_the_targets_that_fit() -> None:
    assert recall_at_k(RANKED, np.array([2, 7, 100]), 5) == pytest.approx(2 / 3)
    assert recall_at_k(RANKED, np.array([4, 2, 100, 101]), 2) == 1


def test_ndcg_discounts_by_rank_over_the_truncated_ideal() -> None:
    found = 1 / math.log2(3) + 1 / math.log2(5)
    assert ndcg(RANKED, np.array([2, 7]), 5) == pytest.approx(found / (1 + 1 / math.log2(3)))
    assert ndcg(RANKED, np.array([4, 2, 9, 7]), 2) == 1


def test_average_precision_is_the_mean_of_the_precisions_at_the_targets() -> None:
    assert average_precision(RANKED, np.array([2, 7]), 5) == pytest.approx((1 / 2 + 2 / 4) / 2)
    assert average_precision(RANKED, np.array([2, 7, 100, 101]), 2) == pytest.approx((1 / 2) / 2)
    assert average_precision(RANKED, np.array([4, 2, 9]), 2) == 1


def test_hits_are_counted_within_k_alone() -> None:
    assert hit_rate(RANKED, np.array([9]), 3) == 1
    assert hit_rate(RANKED, np.array([9]), 2) == 0


@pytest.mark.parametrize("metric", [average_precision, hit_rate, recall_at_k, ndcg])
def test_without_targets_there_is_no_value(metric: object) -> None:
    assert callable(metric)
    assert math.isnan(metric(RANKED, np.empty(0, dtype=np.int64), 5))


@given(
    ranked=st.permutations(range(12)),
    shown=st.integers(0, 12),
    targets=st.sets(st.integers(0, 15), min_size=1),
    k=st.integers(1, 15),
)
def test_they_equal_their_definitions(ranked: list[int], shown: int, targets: set[int], k: int) -> None:
    hits = [item in targets for item in ranked[:shown][:k]]
    gain = sum(1 / math.log2(place + 2) for place, hit in enumerate(hits) if hit)
    ideal = sum(1 / math.log2(place + 2) for place in range(min(k, len(targets))))
    args = np.array(ranked[:shown], dtype=np.int64), np.array(sorted(targets)), k
    assert hit_rate(*args) == any(hits)
    assert recall_at_k(*args) == pytest.approx(sum(hits) / min(k, len(targets)))
    assert ndcg(*args) == pytest.approx(gain / ideal)
