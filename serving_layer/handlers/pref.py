"""``POST`` and ``DELETE /pref/{user}/{item}``."""

from aiohttp import web

from oryx_py.errors import BadInteraction
from oryx_py.events import Interaction, parse_object
from serving_layer.api.answers import NoContent
from serving_layer.api.arguments import Item, User
from serving_layer.api.operation import Body, operation
from serving_layer.handlers.storing import store_one
from serving_layer.http_semantics.problems import Problem
from serving_layer.http_semantics.request_bodies import body_of
from serving_layer.requests import app_keys

__all__ = ["delete_pref", "post_pref", "pref_of"]

_TAG = "Write"
_MAX_BODY_BYTES = 65_536
"""For a number in the first line, and whatever a client adds below it."""


@operation(
    "POST",
    "/pref/{user}/{item}",
    tag=_TAG,
    writes=True,
    body=Body(
        "The strength in the first line; empty means 1.",
        {"text/plain": {"type": "string", "format": "oryx-strength", "examples": ["2.5"]}},
        required=False,
    ),
    refusals={400: "the strength is no finite number"},
)
async def post_pref(request: web.Request, user: User, item: Item) -> NoContent:
    """Store an interaction.

    Answered when the broker has acknowledged it; `X-Oryx-Offset` says where it is, to be given as `after`.
    """
    api = request.app[app_keys.API]
    async with body_of(
        request,
        max_bytes=min(_MAX_BODY_BYTES, api.max_body_bytes),
        max_inflated_bytes=min(_MAX_BODY_BYTES, api.max_inflated_bytes),
        budget=request.app[app_keys.BODY_BUDGET],
    ) as body:
        interaction = pref_of(user, item, body)
    return await store_one(request, interaction)


def pref_of(user: str, item: str, body: bytes) -> Interaction:
    """Return the interaction of a body that begins with a strength.

    Raises:
        Problem: 400, that is no finite number.
    """
    try:
        strength = body.partition(b"\n")[0].strip().decode()
        return parse_object({"user": user, "item": item, "strength": strength or 1.0})
    except UnicodeDecodeError:
        raise Problem(400, "strength must be a finite number, and is not UTF-8") from None
    except BadInteraction as error:
        raise Problem(400, error.reason) from None


@operation("DELETE", "/pref/{user}/{item}", tag=_TAG, writes=True)
async def delete_pref(request: web.Request, user: User, item: Item) -> NoContent:
    """Take an interaction back.

    It is removed in real time, and from what is learned next; with `update.dialect = "oryx2"` the next model of the
    Oryx 2 batch layer is the first without it.
    """
    return await store_one(request, Interaction(user, item, None))
