"""``GET /knownItems/{user}`` and ``GET /mostPopularItems``."""

from aiohttp import web

from serving_layer import keys
from serving_layer.handlers import params, rendering
from serving_layer.handlers.lookups import known_handles
from serving_layer.handlers.negotiation import form
from serving_layer.handlers.paths import id_of, segments
from serving_layer.wait_after import take_model

__all__ = ["known_items", "most_popular_items"]


async def known_items(request: web.Request) -> web.Response:
    """Answer ``GET /knownItems/{user}``: the IDs of the items that the user knows, ascending; none if unknown.

    Query: ``after``.
    """
    user = id_of(segments(request)[0], "user")
    answer = form(request)
    model = await take_model(request, user)
    names = model.state.items.ids(known_handles(model, user))
    return rendering.ids(answer, sorted(names, key=str.encode))


async def most_popular_items(request: web.Request) -> web.Response:
    """Answer ``GET /mostPopularItems``: items by how many users know them, as ``[{"id", "count"}, …]``.

    Query: ``howMany`` (10), ``offset`` (0), ``after``. Items that nobody knows are left out.
    """
    page, answer = params.page(request), form(request)
    model = await take_model(request)
    best = await model.popular.best(page.want, request.app[keys.POOL])
    names = model.state.items.ids(best.handles[page.offset :])
    return rendering.pairs(answer, names, "count", best.counts[page.offset :])
