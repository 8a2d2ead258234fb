"""nDCG@10 of factors on what is held out: all items are ranked, those trained on left out."""

import numpy as np
from numpy.typing import NDArray

from oryx_py.numerics.ranking.resampling import Interval, cluster_sums, interval
from tests.bench.batch.samples import Sample

__all__ = ["difference", "gains_of", "ndcg_of", "ndcg_of_scores", "popularity_ndcg"]

K = 10
_CELLS = 20_000_000
"""Scores that are in memory at a time."""
_DISCOUNTS = 1.0 / np.log2(np.arange(2, K + 2))
_DRAWS = 2000


def gains_of(sample: Sample, users: NDArray[np.float32], items: NDArray[np.float32]) -> NDArray[np.float64]:
    """nDCG@10 of each tested user; ``users`` float32[users, k], ``items`` float32[items, k]."""
    found = []
    step = max(1, _CELLS // sample.items)
    for first in range(0, len(sample.tested), step):
        rows = slice(first, first + step)
        found.append(ndcg_of_scores(sample, np.asarray(users[sample.tested[rows]]) @ np.asarray(items).T, first))
    return np.concatenate(found)


def ndcg_of(sample: Sample, users: NDArray[np.float32], items: NDArray[np.float32]) -> float:
    """Their mean."""
    return float(gains_of(sample, users, items).mean())


def difference(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> tuple[float, Interval]:
    """Mean of what the same users have more by ours, and where it lies by the bootstrap over these users."""
    more = ours - theirs
    rng = np.random.default_rng(0)
    sums = cluster_sums(np.arange(len(more)), np.stack([more], axis=1), _DRAWS, rng)
    return float(more.mean()), interval(sums[:, 0] / len(more))


def popularity_ndcg(sample: Sample) -> float:
    """The same where everybody's list is that of the most popular items."""
    popular = np.bincount(sample.train.indices, minlength=sample.items).astype(np.float32)
    ones = np.ones((sample.users, 1), np.float32)
    return ndcg_of(sample, ones, popular[:, None])


def ndcg_of_scores(sample: Sample, scores: NDArray[np.float32], first: int) -> NDArray[np.float64]:
    """nDCG@10 of each row of scores, float64[n]; those of the tested users from ``first`` on. Overwrites the scores."""
    for row, user in enumerate(sample.tested[first : first + len(scores)]):
        scores[row, sample.train.indices[sample.train.indptr[user] : sample.train.indptr[user + 1]]] = -np.inf
    top = np.argpartition(scores, -K, axis=1)[:, -K:] if scores.shape[1] > K else np.argsort(scores, axis=1)
    order = np.argsort(-np.take_along_axis(scores, top, axis=1), axis=1, kind="stable")
    ranked = np.take_along_axis(top, order, axis=1)
    gains = np.empty(len(scores))
    for row in range(len(scores)):
        targets, _ = sample.targets.row(first + row)
        hits = np.isin(ranked[row], targets)
        gains[row] = _DISCOUNTS[: len(hits)][hits].sum() / _DISCOUNTS[: min(K, len(targets))].sum()
    return gains
