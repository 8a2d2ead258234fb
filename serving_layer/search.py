"""The best items of a model for a query: index and delta, on the loop where that is quick, else in another thread."""

from concurrent.futures import Executor
from functools import partial
from typing import NamedTuple

import numpy as np

from serving_layer.index import Delta, ItemIndex
from serving_layer.offload import offload
from serving_layer.ranking import Handles, Metric, Query, Ranked, exact_scores, merged
from serving_layer.served import ServedModel

__all__ = ["best_items"]

_SPARE = 8
"""Rows beyond those wanted, for items that move while another thread searches."""
_ATTEMPTS = 3


class _Found(NamedTuple):
    """What a search gave: exactly ranked rows, and candidates of the delta."""

    rows: Ranked
    candidates: Handles


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
    table, base = model.state.item_vectors, model.index.rows
    excluded = np.sort(excluded)
    for attempt in range(_ATTEMPTS):
        delta = Delta.of(table)
        version = table.version
        skip = _skipped(excluded, delta, base)
        search = partial(_search, model.index, delta, query, want + _SPARE, skip, excluded, metric)
        if attempt == _ATTEMPTS - 1:
            rows, candidates = search()
        else:
            rows, candidates = await offload(pool, model.index.cost + delta.cost, search)
        if table.version != version:
            whole = len(rows.handles) < want + _SPARE
            rows, moved = _without_moved(model, rows)
            if len(rows.handles) < want and not whole:
                continue  # more has moved than was spared for
            handles = [handle for handle in (*candidates.tolist(), *moved) if table.get(handle) is not None]
            candidates = np.array(handles, np.int64)
        if not len(candidates):
            return Ranked(rows.handles[:want], rows.scores[:want])
        scores = exact_scores(query, table.gather(candidates), metric)
        return merged(rows, Ranked(candidates, scores), want, base, model.state.items.id)
    raise AssertionError("the last attempt is on the loop, where nothing moves")


def _search(
    index: ItemIndex, delta: Delta, query: Query, want: int, skip: Handles, excluded: Handles, metric: Metric
) -> _Found:
    return _Found(index.best(query, want, skip, metric), delta.candidates(query, want, excluded, metric))


def _skipped(excluded: Handles, delta: Delta, base: int) -> Handles:
    """Return the rows that the index leaves out: excluded ones, and those that the delta replaces."""
    rows = excluded[: np.searchsorted(excluded, base)]
    masked = delta.masked(base)
    return np.union1d(rows, masked) if len(masked) else rows


def _without_moved(model: ServedModel, rows: Ranked) -> tuple[Ranked, list[int]]:
    """Take out rows that the delta has come to replace; returns these, too."""
    handles = rows.handles.tolist()
    kept = np.array([not model.state.item_vectors.masked(row) for row in handles], np.bool_)
    moved = [row for row, keep in zip(handles, kept, strict=True) if not keep]
    return Ranked(rows.handles[kept], rows.scores[kept]), moved
