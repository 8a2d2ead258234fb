"""A page of the best items, or of the largest counts, by their own values or by what plug-ins make of them."""

from collections.abc import Callable
from functools import partial
from typing import Literal

import numpy as np
from aiohttp import web

from oryx_py.model.ids.id_space import IdSpace
from serving_layer.api.answers import Counted, Scored
from serving_layer.api.parsing import Page
from serving_layer.event_loop.offload import COST_OF_NAMING, COST_OF_RANKING, offload
from serving_layer.index.ranking import in_order
from serving_layer.index.scoring import Factors, Handles, Metric, Query, Scores, exact_scores
from serving_layer.model.served_model import ServedModel
from serving_layer.requests import app_keys
from serving_layer.rescoring.applying import Rescoring
from serving_layer.rescoring.rescored_search import CountSnapshot, ItemSnapshot
from serving_layer.search.best_items import best_items

__all__ = ["names_of", "ranked_counts", "ranked_items", "ranked_known"]


async def ranked_items(
    request: web.Request,
    model: ServedModel,
    query: Query,
    excluded: Handles,
    page: Page,
    rescoring: Rescoring | None,
    metric: Metric = "dot",
) -> Scored:
    """Return the page of the best items that are not ``excluded``, int64[e]."""
    if rescoring is None:
        best = await best_items(model, query, page.want, excluded, metric, request.app[app_keys.POOL])
    else:
        search = partial(ItemSnapshot.of(model).best, rescoring, query, page.want, excluded, metric)
        best = await request.app[app_keys.PLUGINS].run(search)
    handles = best.handles[page.offset :]
    return Scored(await names_of(request, model.state.items, handles), best.scores[page.offset :])


async def ranked_counts(
    request: web.Request, model: ServedModel, kind: Literal["items", "users"], page: Page, rescoring: Rescoring | None
) -> Counted:
    """Return the page of the most popular items, or the most active users."""
    state = model.state
    space = state.items if kind == "items" else state.users
    if rescoring is None:
        ranking = model.popular if kind == "items" else model.active
        best = await ranking.best(page.want, request.app[app_keys.POOL])
        return Counted(await names_of(request, space, best.handles[page.offset :]), best.counts[page.offset :])
    now = CountSnapshot.of(model, kind, state.popularity() if kind == "items" else state.activity(), space)
    handles, counts = await request.app[app_keys.PLUGINS].run(partial(now.best, rescoring, page.want))
    return Counted(await names_of(request, space, handles[page.offset :]), counts[page.offset :])


async def ranked_known(
    request: web.Request,
    model: ServedModel,
    query: Query,
    known: Handles,
    page: Page,
    metric: Metric,
    *,
    lowest_first: bool = False,
) -> Scored:
    """Return the page of a user's items, int64[n], by their scores; ties by ID, 0 where there is no vector."""
    state = model.state
    vectors = state.item_vectors.gather(known)
    items = state.items
    cost = 4 * vectors.size + COST_OF_RANKING * len(known)
    rank = partial(_ranked, query, vectors, metric, known, items.base, items.id, lowest_first=lowest_first)
    order, scores = await offload(request.app[app_keys.POOL], cost, rank)
    order = order[page.offset : page.want]
    return Scored(await names_of(request, items, known[order]), scores[order])


async def names_of(request: web.Request, space: IdSpace, handles: Handles) -> list[str]:
    """Return the IDs of handles, int64[n], in their order."""
    return await offload(request.app[app_keys.POOL], COST_OF_NAMING * len(handles), space.ids, handles)


def _ranked(
    query: Query,
    vectors: Factors,
    metric: Metric,
    known: Handles,
    base: int,
    name: Callable[[int], str],
    *,
    lowest_first: bool,
) -> tuple[Handles, Scores]:
    scores = exact_scores(query, vectors, metric)
    return in_order(known, np.negative(scores) if lowest_first else scores, base, name), scores
