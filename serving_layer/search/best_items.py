"""The best items of a model for a query: index and delta, on the loop where that is quick, else in another thread.

On the loop nothing moves. But vectors change while another thread searches. What it found is put right when it is taken
up, without a second search:

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

from serving_layer.event_loop.offload import is_quick, offload
from serving_layer.index import Delta, ItemIndex
from serving_layer.index.ranking import Ranked, distinct, merged, outside
from serving_layer.index.scoring import Handles, Metric, Query, exact_scores
from serving_layer.model.served_model import ServedModel
from serving_layer.search.changes import SPARE, Changes

__all__ = ["best_items", "best_now", "is_searched_now"]

_ATTEMPTS = 2
"""In another thread, before the loop is held up."""


class _Found(NamedTuple):
    """What a search gave: exactly ranked rows, and candidates of the delta."""

    rows: Ranked
    candidates: Handles


def is_searched_now(model: ServedModel) -> bool:
    """Say whether a search is so quick that the loop does it."""
    return is_quick(model.index.cost + model.state.item_vectors.delta_matrix.size)


def best_now(model: ServedModel, query: Query, want: int, excluded: Handles, metric: Metric) -> Ranked:
    """Return what `best_items` does, from the loop itself."""
    table, items = model.state.item_vectors, model.state.items
    rows, candidates = _search(model.index, Delta.of(table), query, want, np.sort(excluded), metric)
    if not len(candidates):
        return rows
    scores = exact_scores(query, table.gather(candidates), metric)
    return merged(rows, Ranked(candidates, scores), want, model.index.rows, items.id)


async def best_items(
    model: ServedModel, query: Query, want: int, excluded: Handles, metric: Metric, pool: Executor
) -> Ranked:
    """Return the ``want`` best items that have a vector and are not ``excluded``; ties by ID.

    The answer is exact for the vectors as they are when the search ends; scores are always those of the live vectors.

    Args:
        model: what to search; for its loop.
        query: float64[k].
        want: how many.
        excluded: int64[e], handles of items to leave out, none twice, in any order.
        metric: what "best" means.
        pool: for long searches.
    """
    if is_searched_now(model):
        return best_now(model, query, want, excluded, metric)
    table, items, base = model.state.item_vectors, model.state.items, model.index.rows
    excluded = np.sort(excluded)
    for _ in range(_ATTEMPTS):
        delta, version = Delta.of(table), table.version
        search = partial(_search, model.index, delta, query, want + SPARE, excluded, metric)
        rows, candidates = await offload(pool, model.index.cost + delta.cost, search)
        if table.version != version:
            changes = Changes.since(model, version)
            if changes.too_many(rows.handles, want) or changes.too_many(candidates, want):
                continue
            kept = changes.unchanged(rows.handles)
            rows = Ranked(rows.handles[kept], rows.scores[kept])
            came = changes.present[outside(changes.present, excluded)]
            candidates = np.concatenate([candidates[changes.unchanged(candidates)], came])
        if not len(candidates):
            return Ranked(rows.handles[:want], rows.scores[:want])
        scores = exact_scores(query, table.gather(candidates), metric)
        return merged(rows, Ranked(candidates, scores), want, base, items.id)
    return best_now(model, query, want, excluded, metric)


def _search(index: ItemIndex, delta: Delta, query: Query, want: int, excluded: Handles, metric: Metric) -> _Found:
    rows = index.best(query, want, _skipped(excluded, delta, index.rows), metric)
    return _Found(rows, delta.candidates(query, want, excluded, metric))


def _skipped(excluded: Handles, delta: Delta, base: int) -> Handles:
    """Return the rows that the index leaves out: excluded ones, and those that the delta replaces."""
    rows = excluded[: np.searchsorted(excluded, base)]
    masked = delta.masked(base)
    return distinct(np.concatenate([rows, masked])) if len(masked) else rows
