"""``DELETE /user/{user}`` and ``DELETE /item/{item}``."""

from http import HTTPStatus
from typing import Final

from aiohttp import web

from oryx_py.events import Interaction
from oryx_py.ports import Outgoing
from serving_layer.api.answers import NoContent
from serving_layer.api.arguments import Item, User
from serving_layer.api.operation import operation
from serving_layer.handlers.storing import idempotency_key, record_of, send, store_one
from serving_layer.http_semantics.problems import Problem
from serving_layer.producing.write_progress import WriteProgress
from serving_layer.requests import app_keys

__all__ = ["forget_item", "forget_user"]

_TAG = "Write"
_NOBODY_FORGETS: Final = (
    'nothing was forgotten: with update.dialect = "oryx2" the models are those of an Oryx 2 batch layer, which cannot '
    "forget a {what}; DELETE /pref/… each of the {what}'s interactions, or take them out of that layer's data"
)
_REFUSALS: Final = {501: 'with `update.dialect = "oryx2"` nobody would forget anything: nothing was stored'}


@operation("DELETE", "/user/{user}", tag=_TAG, writes=True, refusals=_REFUSALS)
async def forget_user(request: web.Request, user: User) -> NoContent:
    """Forget a user.

    With everything that the user knows: in real time, and from the history at the next generation.
    """
    _check_that_somebody_does(request, "user")
    return await store_one(request, Interaction(user, "", None))


@operation("DELETE", "/item/{item}", tag=_TAG, writes=True, refusals=_REFUSALS)
async def forget_item(request: web.Request, item: Item) -> NoContent:
    """Forget an item.

    Nobody knows it any more: in real time, and in the history at the next generation. An interaction that comes later
    makes it a new item.
    """
    _check_that_somebody_does(request, "item")
    app = request.app
    # Each partition's owner has users who may know it, so all are told, of one and the same forget.
    key = idempotency_key(request) or app[app_keys.NEW_REQUEST_ID]()
    record = record_of(Interaction("", item, None), app, now_ms=app[app_keys.CLOCK].now_ms(), key=key)
    partitions = range(app[app_keys.INPUT_PARTITIONS]())
    records = [Outgoing(record.topic, record.value, None, record.headers, partition) for partition in partitions]
    stored = request[app_keys.STORED] = WriteProgress(repeatable=True)
    await send(app, records, [1] * len(records), stored)
    return NoContent(stored.headers())


def _check_that_somebody_does(request: web.Request, what: str) -> None:
    """Raise a `Problem` where forgets would be stored, and read by nobody."""
    if not request.app[app_keys.MODELS].tracks_input:
        raise Problem(HTTPStatus.NOT_IMPLEMENTED, _NOBODY_FORGETS.format(what=what))
