"""``POST /ingest``: many interactions, all or none."""

from aiohttp import hdrs, web

from oryx_py.errors import BrokerUnavailable, StoreUnavailable
from serving_layer.api.answers import NoContent
from serving_layer.api.interactions_body import INTERACTIONS
from serving_layer.api.operation import operation
from serving_layer.handlers.storing import idempotency_key, send
from serving_layer.http_semantics.problems import Problem
from serving_layer.http_semantics.request_bodies import BodyPace, pieces_of
from serving_layer.ingestion.body_check import BodyCheck
from serving_layer.ingestion.formats import body_form
from serving_layer.ingestion.multipart import boundary_of
from serving_layer.ingestion.multipart_files import read_parts
from serving_layer.ingestion.spool import Spool
from serving_layer.producing.record_batches import SEND_US, batches
from serving_layer.producing.repeatable import check_repeatable
from serving_layer.producing.write_progress import WriteProgress
from serving_layer.requests import app_keys

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
    app, turns = request.app, request.app[app_keys.TURNS]
    key = idempotency_key(request)
    stored = request[app_keys.STORED] = WriteProgress(repeatable=key is not None)
    with Spool(app[app_keys.SPOOLS]) as spool:
        try:
            lines = await _check(request, spool)
            if key is not None and lines > app[app_keys.DEDUPE_RECORDS]:
                values, partitions = batches(spool.pieces(), "", None), app[app_keys.INPUT_PARTITIONS]()
                await check_repeatable(values, partitions, app[app_keys.DEDUPE_RECORDS], turns)
        except (BrokerUnavailable, StoreUnavailable) as error:
            raise Problem.unavailable(f"{error}; nothing was stored", accepted=0, line=0) from error
        try:
            async for batch in batches(spool.pieces(), app[app_keys.INPUT_TOPIC], key):
                async with turns.sending:
                    await turns.next(len(batch.records) * SEND_US)
                    await send(app, *batch, stored)
        except StoreUnavailable as error:
            raise stored.stopped(str(error)) from error
    return NoContent(stored.headers())


async def _check(request: web.Request, spool: Spool) -> int:
    """Read everything once, before anything is sent; return how many lines it has."""
    app, api = request.app, request.app[app_keys.API]
    check = BodyCheck(
        spool, now_ms=app[app_keys.CLOCK].now_ms(), max_bytes=api.max_ingest_bytes, turns=app[app_keys.TURNS]
    )
    pieces = pieces_of(request, api.max_ingest_bytes, BodyPace(api.request_timeout_ms / 1000))
    if request.content_type.startswith("multipart/"):
        await read_parts(pieces, boundary_of(request.headers[hdrs.CONTENT_TYPE]), check, app[app_keys.SPOOLS])
    else:
        named = hdrs.CONTENT_TYPE in request.headers
        await check.read(pieces, body_form(request.content_type if named else "", request.charset))
    check.finish()
    return check.lines
