"""Taking the model for a request, and with ``after`` only once it includes what the client wrote."""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import web

from oryx_py.errors import NotReady
from serving_layer.http_semantics.problems import Problem
from serving_layer.model.model_provider import ModelProvider
from serving_layer.model.served_model import ServedModel
from serving_layer.requests import app_keys
from serving_layer.requests.admission import aside

__all__ = ["take_model"]

_NO_PROGRESS = (
    'after cannot be waited for: with update.dialect = "oryx2" no PROGRESS says how much of the input is in the model; '
    "leave it out"
)


async def take_model(request: web.Request, after: Mapping[int, int], user: str | None = None) -> ServedModel:
    """Return the model that this request is answered from; to be called once.

    Waits until the PROGRESS of what is served covers the input offsets ``after``: in the update partition that holds
    the ``user``, or in all of them where the answer is no user's, or an item may have been forgotten. Should another
    epoch be served meanwhile, its PROGRESS counts, and the request is answered from that one. While it waits, its place
    among those that are answered is free for others.

    Raises:
        NotReady: there is no model.
        Problem: 400 where ``after`` names no partition, 501 where nothing says how much of the input is in the model,
            429 where too many wait already, 504 when it does not come true in time.
    """
    models = request.app[app_keys.MODELS]
    if not after:
        model = _now(models)
    else:
        if not models.tracks_input:
            raise Problem(HTTPStatus.NOT_IMPLEMENTED, _NO_PROGRESS)
        partitions = request.app[app_keys.INPUT_PARTITIONS]()
        if (unknown := max(after)) >= partitions:
            raise Problem(
                HTTPStatus.BAD_REQUEST, f"after names partition {unknown}, the input topic has {partitions} from 0"
            )
        # A forgotten item has a place in every input partition, and its vector may be in any update partition.
        waits_for = None if len(after) == partitions else user
        model = _now(models)
        if not model.state.covers(waits_for, after):
            wait_s = request.app[app_keys.API].read_after_write_timeout_ms / 1000
            try:
                with aside(request):
                    async with asyncio.timeout(wait_s):
                        model = await _covering(models, waits_for, after)
            except TimeoutError:
                raise Problem(
                    HTTPStatus.GATEWAY_TIMEOUT,
                    f"what was written is not in the model after {wait_s:g} s: ask again later, or leave out after",
                ) from None
    request[app_keys.TAKEN] = app_keys.Taken(model, model.state.reached(user))
    return model


async def _covering(models: ModelProvider, user: str | None, offsets: Mapping[int, int]) -> ServedModel:
    while True:
        await models.changed()
        if (model := _now(models)).state.covers(user, offsets):
            return model


def _now(models: ModelProvider) -> ServedModel:
    model = models.served()
    if model is None:
        raise NotReady(models.readiness().reason)
    return model
