"""``POST /ingest``: many interactions, all or none."""

from aiohttp import hdrs, web

from oryx_py.errors import BrokerUnavailable, StoreUnavailable
from serving_layer import keys
from serving_layer.api.answers import NoContent
from serving_layer.api.interactions import INTERACTIONS
from serving_layer.api.operation import operation
from serving_layer.bodies import Pace, pieces_of
from serving_layer.handlers.writing import idempotency_key, send, stopped_midway
from serving_layer.ingestion.check import Check
from serving_layer.ingestion.forms import body_form
from serving_layer.ingestion.multipart import boundary_of
from serving_layer.ingestion.parts import read_parts
from serving_layer.ingestion.records import SEND_US, batches
from serving_layer.ingestion.repeatable import check_repeatable
from serving_layer.ingestion.spool import Spool
from serving_layer.problems import Problem
from serving_layer.stored import Stored

__all__ = ["ingest"]


@operation(
    "POST",
    "/ingest",
    tag="Write",
    writes=True,
    paced=True,
    body=INTERACTIONS,
    refusals={
        400: "a line cannot be read: nothing was stored; the detail names the first 20 bad lines",
        408: "the body came too slowly: nothing was stored",
        413: "it has an `Idempotency-Key` and more lines for one partition of the input than are known again under one "
        "key: nothing was stored; send several requests, each with a key of its own, or this one without a key",
        429: "too much is written, or waits on disk, at the same time",
        503: "the broker failed midway: `accepted` interactions, in the order of the body, are acknowledged, the last "
        "of them from line `line` (counted from 1 through the whole body, blank lines and all its files included; of "
        "an array, objects). Had the request an `Idempotency-Key`, send the whole body again, unchanged, with the same "
        "key: what it stored already does not count twice. Had it none, go on after line `line`",
    },
)
async def ingest(request: web.Request) -> NoContent:
    """Store many interactions, all or none.

    Answered when the broker has acknowledged all; `X-Oryx-Offset` has the last place in each partition. With an
    `Idempotency-Key` the same request can be sent again within `input.dedupe_window_s`, as a whole and unchanged, and
    no line counts twice. That holds for `input.dedupe_records` lines of a partition (1,000,000 unless set otherwise): a
    body with more and a key is refused, so send several, each with a key of its own.
    """
    app, turns = request.app, request.app[keys.TURNS]
    key = idempotency_key(request)
    stored = request[keys.STORED] = Stored(repeatable=key is not None)
    with Spool(app[keys.SPOOLS]) as spool:
        try:
            lines = await _check(request, spool)
            if key is not None and lines > app[keys.DEDUPE_RECORDS]:
                values, partitions = batches(spool.pieces(), "", None), app[keys.INPUT_PARTITIONS]()
                await check_repeatable(values, partitions, app[keys.DEDUPE_RECORDS], turns)
        except (BrokerUnavailable, StoreUnavailable) as error:
            raise Problem.unavailable(f"{error}; nothing was stored", accepted=0, line=0) from error
        try:
            async for batch in batches(spool.pieces(), app[keys.INPUT_TOPIC], key):
                async with turns.sending:
                    await turns.next(len(batch.records) * SEND_US)
                    await send(app, *batch, stored)
        except StoreUnavailable as error:
            raise stopped_midway(str(error), stored) from error
    return NoContent(stored.headers())


async def _check(request: web.Request, spool: Spool) -> int:
    """Read everything once, before anything is sent; return how many lines it has."""
    app, api = request.app, request.app[keys.API]
    check = Check(spool, now_ms=app[keys.CLOCK].now_ms(), max_bytes=api.max_ingest_bytes, turns=app[keys.TURNS])
    pieces = pieces_of(request, api.max_ingest_bytes, Pace(api.request_timeout_ms / 1000))
    if request.content_type.startswith("multipart/"):
        await read_parts(pieces, boundary_of(request.headers[hdrs.CONTENT_TYPE]), check, app[keys.SPOOLS])
    else:
        named = hdrs.CONTENT_TYPE in request.headers
        await check.read(pieces, body_form(request.content_type if named else "", request.charset))
    check.finish()
    return check.lines
