"""``POST /ingest``: many interactions, all or none."""

import asyncio
from http import HTTPStatus

from aiohttp import hdrs, web

from oryx_py.errors import OryxError
from oryx_py.events import Interaction
from oryx_py.ports import Outgoing
from serving_layer import keys
from serving_layer.bodies import body_of
from serving_layer.bulk import BulkForm, lines_of
from serving_layer.handlers.writing import idempotency_key, promptly, record_of, stopped_midway
from serving_layer.problems import Problem, quoted
from serving_layer.stored import Stored

__all__ = ["ingest"]

_FORMS: dict[str, BulkForm] = {
    "text/csv": "lines",
    "text/plain": "lines",
    "application/x-www-form-urlencoded": "lines",  # what curl --data says of any body, unless told otherwise
    "application/json": "array",
    "application/x-ndjson": "ndjson",
    "application/ndjson": "ndjson",
    "application/jsonl": "ndjson",
}
_CHARSETS = {"utf-8", "utf8", "us-ascii", "ascii"}
_SHOWN = 20
"""Bad lines named in an answer."""
_BREATH = 500
"""Lines read between two turns of the loop, about a millisecond; and sent at once."""


async def ingest(request: web.Request) -> web.Response:
    """Answer ``POST /ingest``: store all lines, or a JSON array of objects, or none.

    ``Content-Type``: ``text/csv`` or ``text/plain`` (lines; also where it is missing, or is curl's default),
    ``application/json`` (an array), ``application/x-ndjson``. ``Content-Encoding``: gzip, deflate. Header:
    ``Idempotency-Key``. 204 when all are acknowledged, with ``X-Oryx-Offset``. 400: nothing was stored, the detail
    names the bad lines. 413, 415. 503: the broker failed midway, or took too long; ``accepted`` is how many lines, in
    their order, are acknowledged.
    """
    form, key, api = _form(request), idempotency_key(request), request.app[keys.API]
    stored = request[keys.STORED] = Stored()
    async with body_of(
        request,
        max_bytes=api.max_body_bytes,
        max_inflated_bytes=api.max_inflated_bytes,
        budget=request.app[keys.BODY_BUDGET],
    ) as body:
        await _check(body, form)
        await _store(request, body, form, key, stored)
    return web.Response(status=HTTPStatus.NO_CONTENT, headers=stored.headers())


def _form(request: web.Request) -> BulkForm:
    if hdrs.CONTENT_TYPE not in request.headers:
        return "lines"
    form = _FORMS.get(request.content_type)
    if form is None:
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "Content-Type must be text/csv, application/json or application/x-ndjson, "
            f"not {quoted(request.content_type)}",
        )
    if (request.charset or "utf-8").lower() not in _CHARSETS:
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"the charset must be utf-8, not {quoted(request.charset or '')}"
        )
    return form


async def _check(body: bytes, form: BulkForm) -> None:
    """Read everything once before anything is sent."""
    what = "object" if form == "array" else "line"
    bad: list[str] = []
    count = 0
    for read, line in enumerate(lines_of(body, form), 1):
        if not isinstance(line.content, Interaction):
            count += 1
            if len(bad) < _SHOWN:
                bad.append(f"{what} {line.number}: {line.content.reason}")
        if read % _BREATH == 0:
            await asyncio.sleep(0)
    if bad:
        more = f"; and {count - len(bad)} more" if count > len(bad) else ""
        raise Problem(HTTPStatus.BAD_REQUEST, f"nothing was stored. {'; '.join(bad)}{more}")


async def _store(request: web.Request, body: bytes, form: BulkForm, key: str | None, stored: Stored) -> None:
    """Send everything, some lines at a time."""
    app = request.app
    now_ms = app[keys.CLOCK].now_ms()
    batch: list[Outgoing] = []
    for line in lines_of(body, form):
        if isinstance(line.content, Interaction):
            batch.append(record_of(line.content, app, now_ms=now_ms, key=key, line=line.number))
        if len(batch) == _BREATH:
            await _send(app, batch, stored)
            batch.clear()
    await _send(app, batch, stored)


async def _send(app: web.Application, batch: list[Outgoing], stored: Stored) -> None:
    """Send some lines and wait for all of them.

    Raises:
        Problem: 503, one was not acknowledged.
    """
    try:
        async with promptly(app):
            deliveries = await app[keys.PRODUCER].send_many(batch)
    except OryxError as error:
        raise stopped_midway(str(error), stored) from error
    for delivery in deliveries:
        if delivery.error is not None:
            raise stopped_midway(str(delivery.error), stored) from delivery.error
        stored.add(delivery)
        app[keys.METRICS].interactions.inc()
