"""Users and items of a model, or the refusal that names what is missing."""

from http import HTTPStatus

import numpy as np

from serving_layer.http_semantics.problems import Problem, quoted
from serving_layer.index.scoring import Handles, Query
from serving_layer.model.served_model import ServedModel

__all__ = ["item_direction", "item_handles", "item_query", "known_handles", "user_query"]


def user_query(model: ServedModel, user: str) -> tuple[int, Query]:
    """Return a user's handle and vector, float64[k].

    Raises:
        Problem: 404, the user is unknown, or has no vector.
    """
    handle = model.state.users.find(user)
    vector = model.state.user_vector(handle) if handle >= 0 else None
    if vector is not None:
        return handle, vector.astype(np.float64)
    if handle >= 0 and len(model.state.history(handle)[0]):
        raise Problem(
            HTTPStatus.NOT_FOUND, f"user {quoted(user)} has no vector yet: nothing that this user knows has one"
        )
    raise Problem(HTTPStatus.NOT_FOUND, f"user {quoted(user)} is unknown")


def item_query(model: ServedModel, item: str) -> Query:
    """Return an item's vector, float64[k].

    Raises:
        Problem: 404, the item is unknown, or has no vector.
    """
    handle = model.state.items.find(item)
    vector = model.state.item_vector(handle) if handle >= 0 else None
    if vector is not None:
        return vector.astype(np.float64)
    if handle >= 0 and model.state.popularity()[handle] > 0:
        raise Problem(HTTPStatus.NOT_FOUND, f"item {quoted(item)} has no vector yet: nobody who knows it has one")
    raise Problem(HTTPStatus.NOT_FOUND, f"item {quoted(item)} is unknown")


def item_direction(model: ServedModel, item: str) -> Query:
    """Return of an item's vector what cosines compare, float64[≤ k].

    Raises:
        Problem: 404, the item is unknown, or has no vector.
    """
    return item_query(model, item)[: model.compared]


def item_handles(model: ServedModel, items: list[str]) -> list[int]:
    """Return the items' handles, -1 for unknown ones."""
    return [model.state.items.find(item) for item in items]


def known_handles(model: ServedModel, user: str) -> Handles:
    """Return int64[n], the handles of the items that a user knows; empty for an unknown user."""
    handle = model.state.users.find(user)
    return model.state.history(handle)[0] if handle >= 0 else np.empty(0, np.int64)
