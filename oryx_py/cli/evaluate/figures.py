"""What the ranks of a replay say: means, paired differences with intervals, and what the speed layer recovers. Pure."""

from collections.abc import Iterator
from itertools import combinations
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from oryx_py.cli.evaluate.arms import ArmName
from oryx_py.cli.evaluate.replay import Outcomes
from oryx_py.numerics.arrays import BoolVector, DoubleMatrix, DoubleVector
from oryx_py.numerics.ranking.resampling import Interval, cluster_sums, interval

__all__ = ["DRAWS", "GROUPS", "METRICS", "Difference", "Figures", "Mean", "Recovered", "figures", "gains"]

K: Final = 10
DRAWS: Final = 2_000

METRICS: Final = (f"ndcg@{K}", f"hit_rate@{K}", "mrr")

GROUPS: Final = ("all", "known users", "new users", "new items")
"""New: not in the first part. Of an interaction with a new item it does not matter who its user is."""


class Mean(NamedTuple):
    """An arm's mean over a group's cases; NaN without any."""

    group: str
    metric: str
    arm: ArmName
    mean: float
    interval: Interval


class Difference(NamedTuple):
    """By how much an arm's mean lies above another's, and its paired interval."""

    group: str
    metric: str
    arm: ArmName
    over: ArmName
    difference: float
    interval: Interval


class Recovered(NamedTuple):
    """Which share of the full retraining's gain over no update an arm has; only where that gain is above 0."""

    group: str
    metric: str
    arm: ArmName
    share: float
    interval: Interval


class Figures(NamedTuple):
    """All of it, and by group how many cases and users it has."""

    cases: dict[str, tuple[int, int]]
    means: list[Mean]
    differences: list[Difference]
    recovered: list[Recovered]


def gains(ranks: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return float64[metrics, …]: each rank's value by each of `METRICS`, one item being the only one wanted.

    ``1/log2(1 + rank)`` for a rank up to ten; 1 for such a rank; ``1/rank``. Rank 0 is none: 0 everywhere.
    """
    there = ranks > 0
    safe = np.maximum(ranks, 1)
    top = there & (ranks <= K)
    return np.stack([top / np.log2(1.0 + safe), top.astype(np.float64), there / safe])


def figures(outcomes: Outcomes, seed: int) -> Figures:
    """Return the figures; the same seed gives the same intervals."""
    found = Figures({}, [], [], [])
    every = np.ones(len(outcomes.at), np.bool_)
    groups = (every, outcomes.known_user, ~outcomes.known_user, ~outcomes.known_item)
    for number, (group, cases) in enumerate(zip(GROUPS, groups, strict=True)):
        found.cases[group] = (int(cases.sum()), len(np.unique(outcomes.users[cases])))
        if cases.any():
            _add_group(found, group, cases, outcomes, np.random.default_rng([seed, number]))
    return found


class _Sampled(NamedTuple):
    """A figure, and its replicates float64[draws]."""

    value: float
    replicates: DoubleVector


def _add_group(found: Figures, group: str, cases: BoolVector, outcomes: Outcomes, rng: np.random.Generator) -> None:
    values = gains(outcomes.ranks[:, cases])
    rows = values.reshape(-1, int(cases.sum())).T
    columns: DoubleMatrix = np.concatenate([np.ones((len(rows), 1)), rows], axis=1)
    drawn = cluster_sums(outcomes.users[cases], columns, DRAWS, rng)
    replicates = drawn[:, 1:] / drawn[:, :1]
    means = iter(zip(rows.mean(axis=0).tolist(), replicates.T, strict=True))
    for metric in METRICS:
        of_arm = {arm: _Sampled(*next(means)) for arm in outcomes.arms}
        found.means.extend(
            Mean(group, metric, arm, told.value, interval(told.replicates)) for arm, told in of_arm.items()
        )
        found.differences.extend(_differences(group, metric, of_arm))
        found.recovered.extend(_recovered(group, metric, of_arm))


def _differences(group: str, metric: str, of_arm: dict[ArmName, _Sampled]) -> Iterator[Difference]:
    for one, other in combinations(of_arm, 2):
        over, arm = sorted((one, other), key=_WORTH.index)
        gain = _minus(of_arm[arm], of_arm[over])
        yield Difference(group, metric, arm, over, gain.value, interval(gain.replicates))


_WORTH: Final[tuple[ArmName, ...]] = ("popularity", "none", "oryx", "retrain", "speed", "speed+retrain")
"""In the differences what comes later is compared with what comes before."""


def _recovered(group: str, metric: str, of_arm: dict[ArmName, _Sampled]) -> Iterator[Recovered]:
    if not {"none", "retrain"} <= of_arm.keys():
        return
    whole = _minus(of_arm["retrain"], of_arm["none"])
    if not interval(whole.replicates).is_above_0:
        return
    for arm in ("speed", "oryx", "speed+retrain"):
        if arm in of_arm:
            part = _minus(of_arm[arm], of_arm["none"])
            with np.errstate(divide="ignore", invalid="ignore"):  # a few draws may be without any gain
                share = interval(part.replicates / whole.replicates)
            yield Recovered(group, metric, arm, part.value / whole.value, share)


def _minus(one: _Sampled, other: _Sampled) -> _Sampled:
    return _Sampled(one.value - other.value, one.replicates - other.replicates)
