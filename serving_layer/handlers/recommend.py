"""``GET /recommend/{user}`` and ``GET /recommendToAnonymous/{item[=strength]}/…``."""

from http import HTTPStatus

import numpy as np
from aiohttp import web

from oryx_py.events import fold_pair
from oryx_py.numerics.fold_in import fold_in
from serving_layer import keys
from serving_layer.handlers import params, rendering
from serving_layer.handlers.lookups import user_query
from serving_layer.handlers.negotiation import Form, form
from serving_layer.handlers.paths import id_of, item_and_strength, segments
from serving_layer.offload import offload
from serving_layer.problems import Problem
from serving_layer.ranking import Handles, Query
from serving_layer.search import best_items
from serving_layer.served import ServedModel
from serving_layer.wait_after import take_model

__all__ = ["recommend", "recommend_to_anonymous"]

_NOTHING = np.empty(0, np.int64)


async def recommend(request: web.Request) -> web.Response:
    """Answer ``GET /recommend/{user}``: the best items by ``x_u · y_i``, as ``[{"id", "value"}, …]``.

    Query: ``howMany`` (10), ``offset`` (0), ``considerKnownItems`` (false: known items are left out), ``after``.
    404: the user is unknown, or has no vector yet.
    """
    user = id_of(segments(request)[0], "user")
    page, answer = params.page(request), form(request)
    params.recall(request)
    consider_known = params.flag(request, "considerKnownItems", default=False)
    model = await take_model(request, user)
    handle, query = user_query(model, user)
    known = _NOTHING if consider_known else model.state.history(handle)[0]
    return await _ranked(request, model, query, known, page, answer)


async def recommend_to_anonymous(request: web.Request) -> web.Response:
    """Answer ``GET /recommendToAnonymous/{item[=strength]}/…``: the best items for whoever has just these.

    The vector is the exact fold-in of the items against the generation; they are left out. An item named several times
    is folded as several interactions. Query: ``howMany`` (10), ``offset`` (0), ``after``. Unknown items are ignored;
    400 if all are unknown, or none has a vector.
    """
    given = [item_and_strength(segment) for segment in segments(request)]
    page, answer = params.page(request), form(request)
    params.recall(request)
    model = await take_model(request)
    strengths = _folded(model, given)
    handles = np.array(list(strengths), np.int64)
    if not len(handles):
        raise Problem(HTTPStatus.BAD_REQUEST, "all of these items are unknown")
    with_vector = model.state.item_vectors.has(handles)
    if not with_vector.any():
        raise Problem(HTTPStatus.BAD_REQUEST, "none of these items has a vector yet")
    vectors = model.state.item_vectors.gather(handles[with_vector])
    values = np.array(list(strengths.values()), np.float64)[with_vector]
    objective = model.state.generation.manifest.objective
    cost = (len(vectors) + vectors.shape[1]) * vectors.shape[1] ** 2
    query = await offload(request.app[keys.POOL], cost, fold_in, values, vectors, model.prior, objective)
    return await _ranked(request, model, query, handles, page, answer)


def _folded(model: ServedModel, given: list[tuple[str, float]]) -> dict[int, float]:
    """Fold the given interactions as the log's are; by handle, without unknown items."""
    settings = model.state.generation.manifest.fold
    strengths: dict[int, float] = {}
    for item, strength in given:
        handle = model.state.items.find(item)
        if handle >= 0:
            folded = fold_pair(strengths.get(handle), strength, settings)
            strengths[handle] = 0.0 if folded is None else folded
    return strengths


async def _ranked(
    request: web.Request,
    model: ServedModel,
    query: Query,
    excluded: Handles,
    page: params.Page,
    answer: Form,
) -> web.Response:
    best = await best_items(model, query, page.want, excluded, "dot", request.app[keys.POOL])
    names = model.state.items.ids(best.handles[page.offset :])
    return rendering.pairs(answer, names, "value", best.scores[page.offset :])
