"""What queries with given items have in common."""

from collections.abc import Sequence
from http import HTTPStatus

import numpy as np
from aiohttp import web

from serving_layer.api.arguments import StrengthItem
from serving_layer.http_semantics.problems import Problem, quoted
from serving_layer.index.scoring import Handles, Query
from serving_layer.model.served_model import ServedModel
from serving_layer.queries.lookups import user_query
from serving_layer.requests import app_keys

__all__ = ["anonymous_query", "context_query", "given_handles"]


def given_handles(model: ServedModel, given: Sequence[StrengthItem]) -> Handles:
    """Return int64[n], ascending and unique: the given items that are known."""
    return np.unique(_known(model, given)[0])


async def anonymous_query(request: web.Request, model: ServedModel, given: Sequence[StrengthItem]) -> Query | None:
    """Return the vector of whoever has just these, float64[k]; None where none of them has a vector."""
    items, strengths = _known(model, given)
    return await request.app[app_keys.FOLDING].query(model, None, items, strengths, request.app[app_keys.POOL])


async def context_query(request: web.Request, model: ServedModel, user: str, given: Sequence[StrengthItem]) -> Query:
    """Return the vector of a user with the given items folded in, too, float64[k].

    Raises:
        Problem: 404, the user is unknown, or nothing of all that has a vector.
    """
    items, strengths = _known(model, given)
    handle = model.state.users.find(user)
    # A model of Oryx 2 may have vectors of users without telling what they know.
    is_known = handle >= 0 and (len(model.state.history(handle)[0]) > 0 or model.state.user_vector(handle) is not None)
    if not is_known or not len(items):
        return user_query(model, user)[1]
    query = await request.app[app_keys.FOLDING].query(model, handle, items, strengths, request.app[app_keys.POOL])
    if query is None:
        raise Problem(
            HTTPStatus.NOT_FOUND,
            f"user {quoted(user)} has no vector yet: nothing that this user knows, or that is given, has one",
        )
    return query


def _known(model: ServedModel, given: Sequence[StrengthItem]) -> tuple[Handles, list[float]]:
    found = [(model.state.items.find(item), strength) for item, strength in given]
    known = [(handle, strength) for handle, strength in found if handle >= 0]
    return np.array([handle for handle, _ in known], np.int64), [strength for _, strength in known]
