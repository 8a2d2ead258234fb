"""The bootstrap over clusters says how far a mean may be from the truth."""

import numpy as np
import pytest

from oryx_py.numerics.ranking.resampling import LEVEL, Interval, cluster_sums, interval


def cluster_draws(clusters: np.ndarray, values: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """The slow, obvious way, with draws of its own."""
    names = np.unique(clusters)
    found = []
    for _ in range(draws):
        rows = [np.flatnonzero(clusters == name) for name in rng.choice(names, len(names))]
        found.append(values[np.concatenate(rows)].sum(axis=0))
    return np.array(found)


def test_sums_are_distributed_as_those_of_the_obvious_way() -> None:
    rng = np.random.default_rng(1)
    clusters = rng.integers(0, 12, 60) * 7
    values = rng.normal(size=(60, 2)) + 1
    ours = cluster_sums(clusters, values, 4_000, np.random.default_rng(2))
    theirs = cluster_draws(clusters, values, 4_000, np.random.default_rng(3))
    assert ours.mean(axis=0) == pytest.approx(theirs.mean(axis=0), rel=0.02)
    assert np.cov(ours.T) == pytest.approx(np.cov(theirs.T), rel=0.1, abs=2)


def test_a_cluster_comes_whole_or_not_at_all() -> None:
    clusters = np.array([0, 0, 0, 1])
    sums = cluster_sums(clusters, np.array([[1.0], [1.0], [1.0], [10.0]]), 200, np.random.default_rng(1))[:, 0]
    assert set(sums) == {6.0, 13.0, 20.0}


def test_the_same_seed_draws_the_same() -> None:
    values = np.random.default_rng(0).normal(size=(30, 1))
    clusters = np.arange(30) % 7
    one, other, third = (cluster_sums(clusters, values, 50, np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert (one == other).all()
    assert (one != third).any()


def test_without_rows_every_sum_is_0() -> None:
    assert (cluster_sums(np.empty(0, np.int64), np.empty((0, 2)), 5, np.random.default_rng(1)) == 0).all()


def test_an_interval_has_the_middle_of_what_can_be_said() -> None:
    found = interval(np.append(np.arange(1001.0), np.nan))
    assert found == pytest.approx((25, 975))
    assert found.is_above_0
    assert not Interval(0.0, 1.0).is_above_0
    assert np.isnan(interval(np.array([np.nan]))).all()


def test_intervals_cover_the_truth_as_often_as_they_say_where_those_over_rows_do_not() -> None:
    """80 users of whom each has a level of its own: 300 experiments, of which some 95 % are to have the truth."""
    rng = np.random.default_rng(8)
    truth, covered, covered_by_rows = 0.3, 0, 0
    for _ in range(300):
        sizes = rng.geometric(1 / 6, 80)
        clusters = np.repeat(np.arange(80), sizes)
        # Paired differences: what is the same for both arms has gone.
        values = np.repeat(truth + rng.normal(0, 0.5, 80), sizes) + rng.normal(0, 0.3, len(clusters))
        columns = np.stack([np.ones(len(values)), values], axis=1)
        for by_rows in (False, True):
            drawn = cluster_sums(np.arange(len(values)) if by_rows else clusters, columns, 200, rng)
            low, high = interval(drawn[:, 1] / drawn[:, 0])
            if by_rows:
                covered_by_rows += low <= truth <= high
            else:
                covered += low <= truth <= high
    # ±3 standard errors of 300 throws at 95 %, and a point for 80 users being few.
    assert LEVEL - 0.048 <= covered / 300 <= LEVEL + 0.038
    assert covered_by_rows / 300 < 0.75
