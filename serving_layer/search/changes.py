"""Which items moved while another thread searched, so that what it found can be put right."""

from typing import Final, NamedTuple, Self

import numpy as np

from oryx_py.model.ids.id_space import IdSpace
from serving_layer.index.ranking import Ranked, merged, outside
from serving_layer.index.scoring import Factors, Handles, Metric, Query, exact_scores
from serving_layer.model.served_model import ServedModel
from serving_layer.search.merging_cost import cost_of_merging

__all__ = ["SPARE", "Changes", "put_right"]

SPARE: Final = 8
"""Rows beyond those wanted, for items that move while another thread searches."""
_COST_OF_SCORING: Final = 10
"""Of each number of a vector."""


class Changes(NamedTuple):
    """Items whose vector changed during a search, ``handles`` int64[c], ascending, and what they have now.

    ``present`` int64[p], those of them with a vector, and ``vectors`` float32[p, k]: copies, for any thread.
    """

    handles: Handles
    present: Handles
    vectors: Factors

    @classmethod
    def since(cls, model: ServedModel, version: int) -> Self:
        """Look at what changed since the table of item vectors had this version."""
        table = model.state.item_vectors
        handles = np.sort(table.changed_since(version))
        present = handles[table.has(handles)]
        return cls(handles, present, table.gather(present))

    def unchanged(self, found: Handles) -> Handles:
        """Return the positions of those that did not change."""
        return np.flatnonzero(outside(found, self.handles))

    def too_many(self, found: Handles, want: int, spare: int = SPARE) -> bool:
        """Say whether so many of the ``want + spare`` best found have changed that fewer than ``want`` are sure."""
        if len(self.handles) <= spare or len(found) < want + spare:
            return False
        return len(found) - len(self.unchanged(found)) > spare

    def cost(self, best: Ranked, base: int) -> int:
        """Return about what `put_right` takes; ``base`` as of `in_order`."""
        if not len(self.present):
            return len(best.handles)
        new = int(np.count_nonzero(best.handles >= base) + np.count_nonzero(self.present >= base))
        return cost_of_merging(len(best.handles) + len(self.present), new) + _COST_OF_SCORING * self.vectors.size


def put_right(
    best: Ranked, query: Query, changes: Changes, excluded: Handles, want: int, metric: Metric, items: IdSpace
) -> Ranked:
    """Return the ``want`` best of what was found and stayed, and of what changed, as it is now; for any thread.

    Args:
        best: what was found, more than ``want`` if there is more.
        query: that it was found for.
        changes: since the search began, not `too_many`.
        excluded: int64[e], ascending: handles to leave out.
        want: how many.
        metric: what "best" means.
        items: the names.
    """
    kept = changes.unchanged(best.handles)
    came = outside(changes.present, excluded)
    handles = changes.present[came]
    if not len(handles):
        return Ranked(best.handles[kept[:want]], best.scores[kept[:want]])
    stayed = Ranked(best.handles[kept], best.scores[kept])
    scores = exact_scores(query, changes.vectors[came], metric)
    return merged(stayed, Ranked(handles, scores), want, items.base, items.id)
