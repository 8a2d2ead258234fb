"""The best items for many users, block by block: one matrix product where single searches would each read all items.

The answers are those of `best_items`, bit for bit: the product only chooses candidates, by the same proof, and scores
and order come from the same functions. A query for which the proof fails is searched by itself.
"""

from collections.abc import AsyncGenerator, Iterable, Sequence
from concurrent.futures import Executor
from typing import Final, NamedTuple

import numpy as np

from oryx_py.model.ids.id_space import IdSpace
from serving_layer.event_loop.offload import offload
from serving_layer.index import BatchScan, Delta, Found
from serving_layer.index.ranking import Ranked, merged, outside
from serving_layer.index.scoring import Handles, Query, exact_scores
from serving_layer.model.served_model import ServedModel
from serving_layer.search.best_items import best_items
from serving_layer.search.changes import SPARE, Changes
from serving_layer.search.merging_cost import cost_of_merging

__all__ = ["Wish", "best_of_each"]

_QUERIES: Final = 128
"""Of a block. The product of fewer costs more a query; of more hardly less, and their scores leave the cache."""
_ROWS: Final = 65_536
"""Wanted by a block together, and by a query beyond which its search is as quick by itself (a sixteenth of it)."""
_EXCLUDED: Final = 1_000_000
"""Handles that a block leaves out together: 16 MB."""


class Wish(NamedTuple):
    """One query: float64[k], and int64[e], the handles to leave out, none twice, in any order."""

    query: Query
    excluded: Handles


async def best_of_each(
    model: ServedModel, wishes: Iterable[Wish | None], want: int, pool: Executor
) -> AsyncGenerator[list[Ranked | None]]:
    """Yield block by block, in the order of the wishes, what `best_items` gives by inner product; None for None.

    A wish is taken only when its block begins. Each block's answers are exact for the vectors as they are when its
    search ends.

    Args:
        model: what to search; for its loop.
        wishes: any number of them.
        want: how many items of each.
        pool: for the searches, each piece of which takes some 25 ms.
    """
    block: list[Wish | None] = []
    size = excluded = 0
    queries = max(1, min(_QUERIES, _ROWS // max(want, 1)))
    for wish in wishes:
        block.append(wish)
        if wish is not None:
            size, excluded = size + 1, excluded + len(wish.excluded)
        if size >= queries or excluded >= _EXCLUDED or len(block) >= 4 * _QUERIES:
            yield await _answered(model, block, want, pool)
            block, size, excluded = [], 0, 0
    if block:
        yield await _answered(model, block, want, pool)


async def _answered(model: ServedModel, block: Sequence[Wish | None], want: int, pool: Executor) -> list[Ranked | None]:
    wishes = [wish for wish in block if wish is not None]
    together = len(wishes) > 1 and 0 < want <= _ROWS // 16
    answers = iter(await _together(model, wishes, want, pool) if together else [None] * len(wishes))
    answered: list[Ranked | None] = []
    for wish in block:
        answer = None if wish is None else next(answers)
        if wish is not None and answer is None:
            answer = await best_items(model, wish.query, want, wish.excluded, "dot", pool)
        answered.append(answer)
    return answered


async def _together(model: ServedModel, wishes: Sequence[Wish], want: int, pool: Executor) -> list[Ranked | None]:
    """Search for all at once; None where that proves nothing."""
    table, delta = model.state.item_vectors, Delta.of(model.state.item_vectors)
    version = table.version
    search = BatchScan(
        table.base,
        model.index.largest_norm,
        model.index.by_norm,
        delta,
        np.array([wish.query for wish in wishes]),
        want + SPARE,
        [wish.excluded for wish in wishes],
    )
    while not await offload(pool, search.cost, search.step):
        pass
    changes, items = Changes.since(model, version), model.state.items
    base, all_found = items.base, search.found()
    cost = sum(_cost(found, changes, base) for found in all_found if found is not None)
    return await offload(pool, cost, _all_put_right, wishes, all_found, want, changes, items)


def _cost(found: Found, changes: Changes, base: int) -> int:
    """Return about what `_put_right` takes."""
    rows, (others, _) = found
    if not len(others) and not len(changes.handles):
        return 0
    return changes.cost(rows, base) + cost_of_merging(len(others), int(np.count_nonzero(others >= base)))


def _all_put_right(
    wishes: Sequence[Wish], found: Sequence[Found | None], want: int, changes: Changes, items: IdSpace
) -> list[Ranked | None]:
    """Return the answers as of when the search ended; for any thread."""
    return [
        None if one is None else _put_right(wish, one, want, changes, items)
        for wish, one in zip(wishes, found, strict=True)
    ]


def _put_right(wish: Wish, found: Found, want: int, changes: Changes, items: IdSpace) -> Ranked | None:
    """Return the answer after what changed during the search; None where too much of it did."""
    rows, delta = found
    if len(changes.handles):
        if changes.too_many(rows.handles, want) or changes.too_many(delta.handles, want):
            return None
        kept, stayed = changes.unchanged(rows.handles), changes.unchanged(delta.handles)
        came = outside(changes.present, np.sort(wish.excluded))
        scores = exact_scores(wish.query, changes.vectors[came], "dot")
        rows = Ranked(rows.handles[kept], rows.scores[kept])
        delta = Ranked(
            np.concatenate([delta.handles[stayed], changes.present[came]]),
            np.concatenate([delta.scores[stayed], scores]),
        )
    if not len(delta.handles):
        return Ranked(rows.handles[:want], rows.scores[:want])
    return merged(rows, delta, want, items.base, items.id)
