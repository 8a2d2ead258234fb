"""The best items: for a user, for several together, for whoever has just these items, for a user in a context."""

from http import HTTPStatus

import numpy as np
from aiohttp import web

from serving_layer.api.answers import Scored
from serving_layer.api.arguments import (
    After,
    ConsiderKnownItems,
    Context,
    Given,
    Paging,
    Recall,
    RescorerParams,
    User,
    Users,
)
from serving_layer.api.operation import operation
from serving_layer.api.parsing import Page
from serving_layer.event_loop.offload import COST_OF_RANKING, offload
from serving_layer.http_semantics.problems import Problem
from serving_layer.index.ranking import distinct
from serving_layer.model.served_model import ServedModel
from serving_layer.queries.given_items import anonymous_query, context_query, given_handles
from serving_layer.queries.lookups import known_handles, user_query
from serving_layer.queries.ranked_answers import ranked_items
from serving_layer.queries.read_your_writes import take_model
from serving_layer.requests import app_keys
from serving_layer.search.best_items import best_now, is_searched_now

__all__ = ["recommend", "recommend_to_anonymous", "recommend_to_many", "recommend_with_context"]

_TAG = "Recommend"
_FIRST_PAGE = Page(10, 0)
_NOTHING = np.empty(0, np.int64)
_FEW = 25
"""Rows: an answer of more is mostly large enough to be compressed."""


def recommended(
    model: ServedModel, user: str, paging: Page = _FIRST_PAGE, consider_known_items: bool = False
) -> Scored | None:
    """Return the page of the best items for a user, None where it takes long.

    Raises:
        Problem: 404, the user is unknown, or has no vector.
    """
    if paging.want > _FEW or not is_searched_now(model, paging.want):
        return None
    handle, query = user_query(model, user)
    known = _NOTHING if consider_known_items else model.state.history(handle)[0]
    best = best_now(model, query, paging.want, known, "dot")
    if best is None:
        return None
    return Scored(model.state.items.ids(best.handles[paging.offset :]), best.scores[paging.offset :])


@operation(
    "GET",
    "/recommend/{user}",
    tag=_TAG,
    refusals={404: "the user is unknown, or has no vector yet"},
    at_once=recommended,
    rescored="recommend",
)
async def recommend(
    request: web.Request,
    user: User,
    paging: Paging,
    consider_known_items: ConsiderKnownItems = False,
    rescorer_params: RescorerParams = (),
    recall: Recall = None,  # noqa: ARG001 - every answer is exact
    after: After = {},  # noqa: B006 - never changed
) -> Scored:
    """The best items for a user.

    By the dot product of their vectors, ties by ID; items that the user knows are left out.
    """
    model = await take_model(request, after, user)
    handle, query = user_query(model, user)
    known = _NOTHING if consider_known_items else model.state.history(handle)[0]
    rescoring = await request.app[app_keys.PLUGINS].rescoring("recommend", [user], rescorer_params)
    return await ranked_items(request, model, query, known, paging, rescoring)


@operation(
    "GET",
    "/recommendToMany/{users}",
    tag=_TAG,
    refusals={404: "one of the users is unknown, or has no vector yet"},
)
async def recommend_to_many(
    request: web.Request,
    users: Users,
    paging: Paging,
    consider_known_items: ConsiderKnownItems = False,
    rescorer_params: RescorerParams = (),
    recall: Recall = None,  # noqa: ARG001
    after: After = {},  # noqa: B006
) -> Scored:
    """The best items for several users together.

    By the dot product with the mean of the users' vectors; items that any of them knows are left out.
    """
    model = await take_model(request, after, users[0] if len(users) == 1 else None)
    found = [user_query(model, user) for user in users]
    mean = np.mean([query for _, query in found], axis=0)
    known = _NOTHING
    if not consider_known_items:
        known = np.concatenate([model.state.history(handle)[0] for handle, _ in found])
        known = await offload(request.app[app_keys.POOL], COST_OF_RANKING * len(known), distinct, known)
    rescoring = await request.app[app_keys.PLUGINS].rescoring("recommend", users, rescorer_params)
    return await ranked_items(request, model, mean, known, paging, rescoring)


@operation(
    "GET",
    "/recommendToAnonymous/{items}",
    tag=_TAG,
    refusals={400: "all of the items are unknown, or none has a vector yet"},
)
async def recommend_to_anonymous(
    request: web.Request,
    items: Given,
    paging: Paging,
    rescorer_params: RescorerParams = (),
    recall: Recall = None,  # noqa: ARG001
    after: After = {},  # noqa: B006
) -> Scored:
    """The best items for whoever has just these.

    The vector is the exact fold-in of the items; they are left out of the answer. Unknown items are ignored; an item
    given several times is folded as several interactions.
    """
    model = await take_model(request, after)
    given = given_handles(model, items)
    if not len(given):
        raise Problem(HTTPStatus.BAD_REQUEST, "all of these items are unknown")
    query = await anonymous_query(request, model, items)
    if query is None:
        raise Problem(HTTPStatus.BAD_REQUEST, "none of these items has a vector yet")
    names = [item for item, _ in items]
    rescoring = await request.app[app_keys.PLUGINS].rescoring("recommend_to_anonymous", names, rescorer_params)
    return await ranked_items(request, model, query, given, paging, rescoring)


@operation(
    "GET",
    "/recommendWithContext/{user}/{items}",
    tag=_TAG,
    refusals={404: "the user is unknown, or nothing that the user knows or that is given has a vector yet"},
)
async def recommend_with_context(
    request: web.Request,
    user: User,
    items: Context,
    paging: Paging,
    consider_known_items: ConsiderKnownItems = False,
    rescorer_params: RescorerParams = (),
    recall: Recall = None,  # noqa: ARG001
    after: After = {},  # noqa: B006
) -> Scored:
    """The best items for a user who has these in mind, too.

    The vector is the exact solve of the user's folded history with the given items folded into it; nothing is stored.
    The given items are left out of the answer; unknown ones are ignored. Without any it is `/recommend`.
    """
    model = await take_model(request, after, user)
    query = await context_query(request, model, user, items)
    known = _NOTHING if consider_known_items else known_handles(model, user)
    excluded = distinct(np.concatenate([known, given_handles(model, items)]))
    rescoring = await request.app[app_keys.PLUGINS].rescoring("recommend", [user], rescorer_params)
    return await ranked_items(request, model, query, excluded, paging, rescoring)
