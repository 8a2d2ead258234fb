"""``POST`` and ``DELETE /pref/{user}/{item}``."""

from http import HTTPStatus

from aiohttp import web

from oryx_py.errors import BadInteraction
from oryx_py.events import Interaction, parse_object
from serving_layer import keys
from serving_layer.bodies import body_of
from serving_layer.handlers.paths import id_of, segments
from serving_layer.handlers.writing import idempotency_key, promptly, record_of
from serving_layer.problems import Problem
from serving_layer.stored import Stored

__all__ = ["delete_pref", "post_pref"]


async def post_pref(request: web.Request) -> web.Response:
    """Answer ``POST /pref/{user}/{item}``: store an interaction; the body's first line is its strength, empty means 1.

    204 after the broker has acknowledged it, with ``X-Oryx-Offset``. Header: ``Idempotency-Key``. 400: it is no finite
    number.
    """
    user, item = (id_of(segment, what) for segment, what in zip(segments(request), ("user", "item"), strict=True))
    api = request.app[keys.API]
    async with body_of(
        request,
        max_bytes=api.max_body_bytes,
        max_inflated_bytes=api.max_inflated_bytes,
        budget=request.app[keys.BODY_BUDGET],
    ) as body:
        try:
            strength = body.partition(b"\n")[0].strip().decode()
            interaction = parse_object({"user": user, "item": item, "strength": strength or 1.0})
        except UnicodeDecodeError:
            raise Problem(HTTPStatus.BAD_REQUEST, "strength must be a finite number, and is not UTF-8") from None
        except BadInteraction as error:
            raise Problem(HTTPStatus.BAD_REQUEST, error.reason) from None
    return await _store(request, interaction)


async def delete_pref(request: web.Request) -> web.Response:
    """Answer ``DELETE /pref/{user}/{item}``: the interaction is removed in real time.

    204 after the broker has acknowledged it, with ``X-Oryx-Offset``. Header: ``Idempotency-Key``.
    """
    user, item = (id_of(segment, what) for segment, what in zip(segments(request), ("user", "item"), strict=True))
    return await _store(request, Interaction(user, item, None))


async def _store(request: web.Request, interaction: Interaction) -> web.Response:
    app = request.app
    now_ms = app[keys.CLOCK].now_ms()
    record = record_of(interaction, app, now_ms=now_ms, key=idempotency_key(request), line=1)
    stored = Stored()
    async with promptly(app):
        stored.add(await app[keys.PRODUCER].send(record.topic, record.value, key=record.key, headers=record.headers))
    app[keys.METRICS].interactions.inc()
    return web.Response(status=HTTPStatus.NO_CONTENT, headers=stored.headers())
