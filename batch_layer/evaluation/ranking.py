"""What a model ranks first for users, against what these have taken up since; popularity beside it.

All items are ranked, but those that the user had in the training. Only users and items that the training had can be
asked for, and only what is new to the user is looked for.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from oryx_py.model.files import map_array
from oryx_py.model.generations.csr import Csr
from oryx_py.model.generations.history_files import map_histories
from oryx_py.numerics.arrays import IntVector
from oryx_py.numerics.ranking.metrics import average_precision, hit_rate, ndcg, recall_at_k
from oryx_py.numerics.ranking.topn import top_n

__all__ = ["METRICS", "K", "Targets", "most_users", "new_to_their_users", "of_rankings", "rank"]

K = 10

METRICS: Final = {
    f"ndcg@{K}": ndcg,
    f"recall@{K}": recall_at_k,
    f"hit_rate@{K}": hit_rate,
    f"map@{K}": average_precision,
}

_SCORE_BYTES = 64 << 20
_MOST_SCORES = 2_000_000_000
"""Some seconds of one core."""


@dataclass(frozen=True, slots=True)
class Targets:
    """What users of a model have taken up since: rows of it.

    ``users`` int64[u], ascending, none twice; theirs are ``items`` int64[n] and ``strengths`` float64[n] between
    ``indptr`` int64[u + 1].
    """

    users: IntVector
    indptr: IntVector
    items: IntVector
    strengths: NDArray[np.float64]

    @classmethod
    def of(cls, users: IntVector, items: IntVector, strengths: NDArray[np.float64]) -> "Targets":
        """Bring pairs, int64[n], int64[n] and float64[n] in any order, together by user."""
        order = np.lexsort((items, users))
        users, items, strengths = users[order], items[order], strengths[order]
        rows, firsts = np.unique(users, return_index=True)
        return cls(rows, np.append(firsts, len(users)).astype(np.int64), items, strengths)

    def __len__(self) -> int:
        return len(self.users)

    def part(self, first: int, last: int) -> "Targets":
        """Return those of the users from number ``first`` to before ``last``."""
        start, stop = int(self.indptr[first]), int(self.indptr[last])
        return Targets(
            self.users[first:last],
            self.indptr[first : last + 1] - start,
            self.items[start:stop],
            self.strengths[start:stop],
        )


def most_users(items: int) -> int:
    """Return how many users are asked for at most: 10,000, and fewer where very many items are ranked for each."""
    return min(10_000, max(500, _MOST_SCORES // max(1, items)))


def new_to_their_users(targets: Targets, histories: Csr) -> Targets:
    """Leave out what the training had of the same user; ``histories`` has a row a user."""
    kept = np.ones(len(targets.items), np.bool_)
    for at, user in enumerate(targets.users.tolist()):
        span = slice(int(targets.indptr[at]), int(targets.indptr[at + 1]))
        kept[span] = ~np.isin(targets.items[span], histories.row(user)[0])
    users = np.repeat(targets.users, np.diff(targets.indptr))
    return Targets.of(users[kept], targets.items[kept], targets.strengths[kept])


def rank(targets: Targets, directory: Path) -> NDArray[np.float64]:
    """Return float64[users, 2, metrics]: of the model in a directory, and of popularity, each of `METRICS`."""
    users, items = (map_array(directory / f"{side}.npy", np.float32, (None, None)) for side in ("users", "items"))
    histories = map_histories(directory, "users")
    by_popularity = np.argsort(-np.diff(map_histories(directory, "items").indptr), kind="stable")
    found = np.empty((len(targets), 2, len(METRICS)))
    block = max(1, _SCORE_BYTES // (4 * max(1, len(items))))
    for first in range(0, len(targets), block):
        scores = users[targets.users[first : first + block]] @ items.T
        for at, row in enumerate(scores, start=first):
            known = histories.row(int(targets.users[at]))[0]
            row[known] = -np.inf
            popular = by_popularity[: K + len(known)]
            wanted = targets.items[targets.indptr[at] : targets.indptr[at + 1]]
            ranked = top_n(row, min(K, len(row) - len(known)))
            for ranker, best in enumerate((ranked, popular[~np.isin(popular, known)])):
                found[at, ranker] = [metric(best, wanted, K) for metric in METRICS.values()]
    return found


def of_rankings(figures: NDArray[np.float64]) -> dict[str, dict[str, float]]:
    """Return the means over users of what `rank` found: by ranker, by metric; nothing without users."""
    if not len(figures):
        return {}
    return {
        ranker: dict(zip(METRICS, means.tolist(), strict=True))
        for ranker, means in zip(("model", "popularity"), figures.mean(axis=0), strict=True)
    }
