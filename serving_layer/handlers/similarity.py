"""By cosine with items: which are similar, how much, and because of which known ones."""

import numpy as np
from aiohttp import web

from serving_layer.api.answers import Numbers, Scored
from serving_layer.api.arguments import After, Item, Items, Paging, Recall, RescorerParams, ToItem, User
from serving_layer.api.operation import operation
from serving_layer.index.scoring import exact_scores
from serving_layer.queries.lookups import item_direction, item_handles, known_handles
from serving_layer.queries.ranked_answers import ranked_items, ranked_known
from serving_layer.queries.read_your_writes import take_model
from serving_layer.requests import app_keys

__all__ = ["because", "similarity", "similarity_to_item"]

_TAG = "Similar items"


@operation("GET", "/similarity/{items}", tag=_TAG, refusals={404: "one of the items is unknown, or has no vector yet"})
async def similarity(
    request: web.Request,
    items: Items,
    paging: Paging,
    rescorer_params: RescorerParams = (),
    recall: Recall = None,  # noqa: ARG001
    after: After = {},  # noqa: B006
) -> Scored:
    """The items most similar to these.

    By the cosine with the mean of the items' vectors: the mean of the raw vectors first, then the cosine. Zero vectors
    have cosine 0. The given items are left out.
    """
    model = await take_model(request, after)
    mean = np.mean([item_direction(model, item) for item in items], axis=0)
    given = np.unique(item_handles(model, items))
    rescoring = await request.app[app_keys.PLUGINS].rescoring("similarity", items, rescorer_params)
    return await ranked_items(request, model, mean, given, paging, rescoring, "cosine")


@operation(
    "GET",
    "/similarityToItem/{toItem}/{items}",
    tag=_TAG,
    refusals={404: "the item to compare with is unknown, or has no vector yet"},
)
async def similarity_to_item(
    request: web.Request,
    to_item: ToItem,
    items: Items,
    after: After = {},  # noqa: B006
) -> Numbers:
    """How similar items are to one.

    Cosines, in order; an item that is unknown, or has no vector yet, gives 0.
    """
    model = await take_model(request, after)
    query = item_direction(model, to_item)
    vectors = model.state.item_vectors.gather(np.array(item_handles(model, items), np.int64))
    return Numbers(exact_scores(query, vectors, "cosine"))


@operation("GET", "/because/{user}/{item}", tag=_TAG, refusals={404: "the item is unknown, or has no vector yet"})
async def because(
    request: web.Request,
    user: User,
    item: Item,
    paging: Paging,
    after: After = {},  # noqa: B006
) -> Scored:
    """The items that a user knows, by how similar they are to one.

    Best first; a known item without a vector has cosine 0. Empty for a user who knows nothing.
    """
    model = await take_model(request, after, user)
    query = item_direction(model, item)
    return await ranked_known(request, model, query, known_handles(model, user), paging, "cosine")
