"""``GET /similarity/{item}/…`` and ``GET /because/{user}/{item}``: by cosine."""

import numpy as np
from aiohttp import web

from serving_layer import keys
from serving_layer.handlers import params, rendering
from serving_layer.handlers.lookups import item_handles, item_query, known_handles
from serving_layer.handlers.negotiation import form
from serving_layer.handlers.paths import id_of, segments
from serving_layer.offload import offload
from serving_layer.ranking import exact_scores, in_order
from serving_layer.search import best_items
from serving_layer.wait_after import take_model

__all__ = ["because", "similarity"]


async def similarity(request: web.Request) -> web.Response:
    """Answer ``GET /similarity/{item}/…``: items by cosine with the mean of these items' vectors.

    The mean of the raw vectors first, then the cosine; zero vectors have cosine 0. The given items are left out.
    Query: ``howMany`` (10), ``offset`` (0), ``after``. 404: one of them is unknown, or has no vector yet.
    """
    items = [id_of(segment, "item") for segment in segments(request)]
    page, answer = params.page(request), form(request)
    params.recall(request)
    model = await take_model(request)
    mean = np.mean([item_query(model, item) for item in items], axis=0)
    given = np.unique(item_handles(model, items))
    best = await best_items(model, mean, page.want, given, "cosine", request.app[keys.POOL])
    names = model.state.items.ids(best.handles[page.offset :])
    return rendering.pairs(answer, names, "value", best.scores[page.offset :])


async def because(request: web.Request) -> web.Response:
    """Answer ``GET /because/{user}/{item}``: the user's known items by cosine with the item, best first.

    A known item without a vector has cosine 0. Query: ``howMany`` (10), ``offset`` (0), ``after``. Empty for a user who
    knows nothing. 404: the item is unknown, or has no vector yet.
    """
    user_segment, item_segment = segments(request)
    user, item = id_of(user_segment, "user"), id_of(item_segment, "item")
    page, answer = params.page(request), form(request)
    model = await take_model(request, user)
    query = item_query(model, item)
    state = model.state
    known = known_handles(model, user)
    vectors = state.item_vectors.gather(known)
    scores = await offload(request.app[keys.POOL], 4 * vectors.size, exact_scores, query, vectors, "cosine")
    order = in_order(known, scores, state.items.base, state.items.id)[page.offset : page.want]
    return rendering.pairs(answer, state.items.ids(known[order]), "value", scores[order])
