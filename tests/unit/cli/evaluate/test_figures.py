"""What ranks come to."""

import numpy as np
import pytest

from oryx_py.cli.evaluate.arms import ArmName
from oryx_py.cli.evaluate.figures import GROUPS, METRICS, Figures, figures, gains
from oryx_py.cli.evaluate.replay import Outcomes
from oryx_py.numerics.ranking.metrics import hit_rate, ndcg


def outcomes(ranks: dict[ArmName, list[int]], users: list[int], known: list[bool] | None = None) -> Outcomes:
    count = len(users)
    return Outcomes(
        arms=tuple(ranks),
        at=np.arange(count),
        users=np.array(users, np.int64),
        ranks=np.array(list(ranks.values()), np.int64),
        known_user=np.array(known if known is not None else [True] * count),
        known_item=np.ones(count, np.bool_),
    )


def test_a_ranks_worth_is_that_of_the_metrics_for_one_item_wanted() -> None:
    ranks = np.arange(1, 30)
    found = gains(ranks)
    for rank, (gain, hit, reciprocal) in zip(ranks.tolist(), found.T.tolist(), strict=True):
        ranked, target = np.arange(50), np.array([rank - 1])
        assert gain == pytest.approx(ndcg(ranked, target, 10))
        assert hit == hit_rate(ranked, target, 10)
        assert reciprocal == pytest.approx(1 / rank)
    assert gains(np.array([0])).tolist() == [[0.0], [0.0], [0.0]]


def test_means_are_over_cases_and_by_group() -> None:
    found = figures(outcomes({"none": [1, 2, 0], "speed": [1, 1, 11]}, [1, 1, 2], [True, True, False]), seed=1)
    means = {(mean.group, mean.metric, mean.arm): mean.mean for mean in found.means}
    assert means["all", "hit_rate@10", "none"] == pytest.approx(2 / 3)
    assert means["known users", "hit_rate@10", "speed"] == 1
    assert means["new users", "mrr", "speed"] == pytest.approx(1 / 11)
    assert means["all", "ndcg@10", "none"] == pytest.approx((1 + 1 / np.log2(3)) / 3)
    assert found.cases == {"all": (3, 2), "known users": (2, 1), "new users": (1, 1), "new items": (0, 0)}
    assert not [mean for mean in found.means if mean.group == "new items"]


def one(found: Figures, arm: str, over: str, metric: str = "hit_rate@10") -> tuple[float, float, float]:
    for difference in found.differences:
        if (difference.group, difference.metric, difference.arm, difference.over) == ("all", metric, arm, over):
            return difference.difference, *difference.interval
    raise AssertionError(arm, over)


def test_differences_are_paired() -> None:
    """One arm always hits where the other does, and of every user's two cases once more: there is no doubt of it."""
    rng = np.random.default_rng(1)
    base = rng.random(400) < 0.5
    base[::2] = False
    better = base.copy()
    better[::2] = True
    users = np.repeat(np.arange(200), 2).tolist()
    found = figures(
        outcomes({"none": np.where(base, 1, 0).tolist(), "speed": np.where(better, 1, 0).tolist()}, users), 1
    )
    assert one(found, "speed", "none") == pytest.approx((0.5, 0.5, 0.5))


def test_every_pair_of_arms_is_compared_once() -> None:
    ranks: dict[ArmName, list[int]] = {"popularity": [3, 1], "speed": [1, 1], "oryx": [2, 1], "none": [4, 1]}
    found = figures(outcomes(ranks, [1, 2]), 1)
    pairs = {(d.arm, d.over) for d in found.differences}
    expected = {("none", "popularity"), ("oryx", "popularity"), ("oryx", "none")}
    assert pairs == expected | {("speed", "popularity"), ("speed", "none"), ("speed", "oryx")}
    assert len(found.differences) == len(pairs) * len(METRICS) * 2  # all, and known users


def test_a_share_is_said_only_where_retraining_gains_for_sure() -> None:
    users = np.repeat(np.arange(100), 5).tolist()
    rng = np.random.default_rng(2)
    nothing = np.zeros(500, np.int64)
    sure, half = nothing.copy(), nothing.copy()
    sure[rng.random(500) < 0.4] = 1
    half[(sure > 0) & (np.cumsum(sure) % 2 == 0)] = 1
    found = figures(outcomes({"none": nothing.tolist(), "retrain": sure.tolist(), "speed": half.tolist()}, users), 1)
    shares = {share.metric: share for share in found.recovered if share.group == "all" and share.arm == "speed"}
    assert shares.keys() == set(METRICS)
    assert shares["hit_rate@10"].share == pytest.approx(0.5, abs=0.01)
    assert shares["hit_rate@10"].interval.low < 0.5 < shares["hit_rate@10"].interval.high

    unsure = nothing.copy()
    unsure[0] = 1
    found = figures(outcomes({"none": nothing.tolist(), "retrain": unsure.tolist(), "speed": half.tolist()}, users), 1)
    assert found.recovered == []
    without = figures(outcomes({"retrain": sure.tolist(), "speed": half.tolist()}, users), 1)
    assert without.recovered == []


def test_the_same_seed_gives_the_same_intervals() -> None:
    given = outcomes({"none": [1, 0, 5, 12, 0], "speed": [2, 1, 3, 0, 4]}, [1, 2, 3, 4, 5])
    assert figures(given, 3) == figures(given, 3)
    assert figures(given, 3) != figures(given, 4)
    assert set(figures(given, 3).cases) == set(GROUPS)
