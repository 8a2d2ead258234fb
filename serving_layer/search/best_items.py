"""The best items of a model for a query: index and delta, on the loop where that is quick, else in another thread.

On the loop nothing moves. But vectors change while another thread searches, and puts in order what it finds. That is
put right when it is taken up, without a second search:

1. Before: look at the delta and note the table's version.
2. Search for a few more than wanted, in index and delta.
3. After: of what was found, drop every item whose vector changed since that version, and add those that changed as
   candidates, with what they are now; items that came meanwhile are among them.

What was seen of an unchanged item was right, so the unchanged ones of the best found are the best unchanged ones, and
there are enough of them if at most as many were dropped as were asked for beyond those wanted. Else search again.
"""

from concurrent.futures import Executor
from functools import partial
from typing import NamedTuple

import numpy as np

from oryx_py.model.ids.id_space import IdSpace
from serving_layer.event_loop.offload import COST_OF_RANKING, is_quick, offload
from serving_layer.index import Delta, ItemIndex
from serving_layer.index.ranking import Ranked, distinct, merged
from serving_layer.index.scoring import Handles, Metric, Query
from serving_layer.model.served_model import ServedModel
from serving_layer.search.changes import SPARE, Changes, put_right
from serving_layer.search.merging_cost import cost_of_merging

__all__ = ["best_items", "best_now", "is_searched_now"]

_ATTEMPTS = 2
"""In another thread, before the loop is held up."""


class _Found(NamedTuple):
    """What a search gave: exactly ranked rows, and scored candidates of the delta."""

    rows: Ranked
    candidates: Ranked

    def cost(self, base: int) -> int:
        """Return about what `best` takes."""
        candidates = self.candidates.handles
        if not len(candidates):
            return 0
        return cost_of_merging(len(self.rows.handles) + len(candidates), int(np.count_nonzero(candidates >= base)))

    def best(self, want: int, items: IdSpace) -> Ranked:
        """Return the best of them, ``want`` as were searched for; for any thread."""
        if not len(self.candidates.handles):
            return self.rows
        return merged(self.rows, self.candidates, want, items.base, items.id)


def is_searched_now(model: ServedModel, want: int) -> bool:
    """Say whether a search for ``want`` items is so quick that the loop does it."""
    return is_quick(_cost(model, want))


def best_now(model: ServedModel, query: Query, want: int, excluded: Handles, metric: Metric) -> Ranked | None:
    """Return what `best_items` does, from the loop itself; None where so many new items may be tied that it is long."""
    found = _searched_now(model, query, want, np.sort(excluded), metric)
    items = model.state.items
    return found.best(want, items) if is_quick(found.cost(items.base)) else None


async def best_items(
    model: ServedModel, query: Query, want: int, excluded: Handles, metric: Metric, pool: Executor
) -> Ranked:
    """Return the ``want`` best items that have a vector and are not ``excluded``; ties by ID.

    The answer is exact for the vectors as they are when the search ends; only what is large is put in order, or right,
    after that. Scores are those of that moment, too.

    Args:
        model: what to search; for its loop.
        query: float64[k].
        want: how many.
        excluded: int64[e], handles of items to leave out, none twice, in any order.
        metric: what "best" means.
        pool: for long searches, and for putting much in order.
    """
    table, items = model.state.item_vectors, model.state.items
    excluded = np.sort(excluded)
    spare = SPARE
    for _ in range(0 if is_searched_now(model, want) else _ATTEMPTS):
        delta, version = Delta.of(table), table.version
        search = partial(_ranked, model.index, delta, query, want + spare, excluded, metric, items)
        best, candidates = await offload(pool, _cost(model, want), search)
        if table.version == version:
            return Ranked(best.handles[:want], best.scores[:want])
        changes = Changes.since(model, version)
        if changes.too_many(best.handles, want, spare) or changes.too_many(candidates, want, spare):
            spare = SPARE + 4 * len(changes.handles)  # since as many may change again, in a longer time
            continue
        right = partial(put_right, best, query, changes, excluded, want, metric, items)
        return await offload(pool, changes.cost(best, items.base), right)
    found = _searched_now(model, query, want, excluded, metric)
    return await offload(pool, found.cost(items.base), found.best, want, items)


def _cost(model: ServedModel, want: int) -> int:
    index, delta = model.index, model.state.item_vectors.delta_matrix
    return index.cost + delta.size + COST_OF_RANKING * min(want, index.rows + len(delta))


def _searched_now(model: ServedModel, query: Query, want: int, excluded: Handles, metric: Metric) -> _Found:
    return _search(model.index, Delta.of(model.state.item_vectors), query, want, excluded, metric)


def _ranked(
    index: ItemIndex, delta: Delta, query: Query, want: int, excluded: Handles, metric: Metric, items: IdSpace
) -> tuple[Ranked, Handles]:
    """Return the best, and the candidates of the delta that were looked at."""
    found = _search(index, delta, query, want, excluded, metric)
    return found.best(want, items), found.candidates.handles


def _search(index: ItemIndex, delta: Delta, query: Query, want: int, excluded: Handles, metric: Metric) -> _Found:
    rows = index.best(query, want, _skipped(excluded, delta, index.rows), metric)
    return _Found(rows, delta.candidates(query, want, excluded, metric))


def _skipped(excluded: Handles, delta: Delta, base: int) -> Handles:
    """Return the rows that the index leaves out: excluded ones, and those that the delta replaces."""
    rows = excluded[: np.searchsorted(excluded, base)]
    masked = delta.masked(base)
    return distinct(np.concatenate([rows, masked])) if len(masked) else rows
