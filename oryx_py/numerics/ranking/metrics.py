"""Metrics of one ranked list against the items that were held out.

Everywhere ``ranked`` int64[m] are distinct items, best first (fewer than k is allowed: the list ended), ``targets``
int64[t] the distinct held-out items, and k ≥ 1. Without targets a metric has no value: NaN, to be left out of means.
"""

import numpy as np

from oryx_py.numerics.arrays import BoolVector, DoubleVector, IntVector


def hit_rate(ranked: IntVector, targets: IntVector, k: int) -> float:
    """1 if any of the first ``k`` is a target, else 0."""
    if len(targets) == 0:
        return float("nan")
    return float(_hits(ranked, targets, k).any())


def recall_at_k(ranked: IntVector, targets: IntVector, k: int) -> float:
    """The share of targets among the first ``k``, of the ``min(k, |targets|)`` that fit there (Liang et al. 2018)."""
    if len(targets) == 0:
        return float("nan")
    return float(_hits(ranked, targets, k).sum()) / min(k, len(targets))


def ndcg(ranked: IntVector, targets: IntVector, k: int) -> float:
    """Binary gains discounted by ``log2(1 + rank)``, over the best list's of length ``k`` (Liang et al. 2018)."""
    if len(targets) == 0:
        return float("nan")
    hits = _hits(ranked, targets, k)
    return float(_discounts(len(hits))[hits].sum() / _discounts(min(k, len(targets))).sum())


def average_precision(ranked: IntVector, targets: IntVector, k: int) -> float:
    """The precision at each target among the first ``k``, summed over the ``min(k, |targets|)`` that fit there.

    Its mean over users is MAP@k.
    """
    if len(targets) == 0:
        return float("nan")
    hits = _hits(ranked, targets, k)
    precisions = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precisions[hits].sum()) / min(k, len(targets))


def _hits(ranked: IntVector, targets: IntVector, k: int) -> BoolVector:
    return np.isin(ranked[:k], targets)


def _discounts(n: int) -> DoubleVector:
    return 1.0 / np.log2(np.arange(2, n + 2))
