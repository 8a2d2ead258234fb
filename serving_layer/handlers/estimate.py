"""Scores of given items, and of known ones."""

import numpy as np
from aiohttp import web

from serving_layer.api.answers import Number, Numbers, Scored
from serving_layer.api.arguments import After, Given, Items, Paging, ToItem, User
from serving_layer.api.operation import operation
from serving_layer.index.scoring import exact_score, exact_scores
from serving_layer.model.served_model import ServedModel
from serving_layer.queries.given_items import anonymous_query
from serving_layer.queries.lookups import item_handles, item_query, user_query
from serving_layer.queries.ranked_answers import ranked_known
from serving_layer.queries.read_your_writes import take_model

__all__ = ["estimate", "estimate_for_anonymous", "most_surprising"]

_TAG = "Scores"
_FEW = 8
"""Items that are scored sooner one by one."""


def estimates(model: ServedModel, user: str, items: list[str]) -> Numbers:
    """Return the dot products of a user and items, in order.

    Raises:
        Problem: 404, the user is unknown, or has no vector.
    """
    _, query = user_query(model, user)
    handles, vectors = item_handles(model, items), model.state.item_vectors
    if len(handles) <= _FEW:
        scores = [0.0 if vector is None else exact_score(query, vector) for vector in map(vectors.get, handles)]
        return Numbers(np.array(scores, np.float32))
    return Numbers(exact_scores(query, vectors.gather(np.array(handles, np.int64)), "dot"))


@operation(
    "GET",
    "/estimate/{user}/{items}",
    tag=_TAG,
    refusals={404: "the user is unknown, or has no vector yet"},
    at_once=estimates,
)
async def estimate(
    request: web.Request,
    user: User,
    items: Items,
    after: After = {},  # noqa: B006
) -> Numbers:
    """How much a user is expected to like items.

    Dot products, in order; an item that is unknown, or has no vector yet, gives 0.
    """
    return estimates(await take_model(request, after, user), user, items)


@operation(
    "GET",
    "/estimateForAnonymous/{toItem}/{items}",
    tag=_TAG,
    refusals={404: "the item to estimate for is unknown, or has no vector yet"},
)
async def estimate_for_anonymous(
    request: web.Request,
    to_item: ToItem,
    items: Given,
    after: After = {},  # noqa: B006
) -> Number:
    """How much whoever has just these items is expected to like one.

    The dot product of the item with the exact fold-in of the given ones; 0 where nothing of them is known.
    """
    model = await take_model(request, after)
    vector = item_query(model, to_item).astype(np.float32)
    query = await anonymous_query(request, model, items)
    return Number(np.float32(0) if query is None else exact_scores(query, vector[None], "dot")[0])


@operation("GET", "/mostSurprising/{user}", tag=_TAG, refusals={404: "the user is unknown, or has no vector yet"})
async def most_surprising(
    request: web.Request,
    user: User,
    paging: Paging,
    after: After = {},  # noqa: B006
) -> Scored:
    """The items that a user knows though little spoke for it.

    By dot product, lowest first; a known item without a vector has 0.
    """
    model = await take_model(request, after, user)
    handle, query = user_query(model, user)
    known = model.state.history(handle)[0]
    return await ranked_known(request, model, query, known, paging, "dot", lowest_first=True)
