"""``GET /estimate/{user}/{item}/…``."""

import numpy as np
from aiohttp import web

from serving_layer.handlers import rendering
from serving_layer.handlers.lookups import item_handles, user_query
from serving_layer.handlers.negotiation import form
from serving_layer.handlers.paths import id_of, segments
from serving_layer.ranking import exact_scores
from serving_layer.wait_after import take_model

__all__ = ["estimate"]


async def estimate(request: web.Request) -> web.Response:
    """Answer ``GET /estimate/{user}/{item}/…``: ``x_u · y_i`` in order, as ``[0.1, 0.2]``.

    An item that is unknown, or has no vector yet, gives 0. Query: ``after``. 404: the user is unknown, or has no vector
    yet.
    """
    user_segment, *item_segments = segments(request)
    user = id_of(user_segment, "user")
    items = [id_of(segment, "item") for segment in item_segments]
    answer = form(request)
    model = await take_model(request, user)
    _, query = user_query(model, user)
    vectors = model.state.item_vectors.gather(np.array(item_handles(model, items), np.int64))
    return rendering.numbers(answer, exact_scores(query, vectors, "dot"))
