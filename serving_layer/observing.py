"""Around every request: its ID, its refusals as problems, common headers, the log and the metrics."""

import re
from http import HTTPStatus
from typing import Final

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from oryx_py.errors import OryxError
from serving_layer import keys
from serving_layer.common_headers import accepted_codings, add_common_headers
from serving_layer.compression import WORTH_COMPRESSING_BYTES, choose, compressed
from serving_layer.offload import offload
from serving_layer.problems import Problem
from serving_layer.recording import RECORDER

__all__ = ["observe", "sent_id"]

log = structlog.get_logger("serving")

_UNFIT: Final = re.compile(r"[^!-~]")
_ID_CHARACTERS: Final = 128
_PATH_CHARACTERS: Final = 512
_COST_PER_BYTE: Final = 50
"""Of compressing, in the unit of `offload`: 30 kB are what the loop does itself."""


def sent_id(header: str | None) -> str:
    """Return the caller's ID as far as it may stand in a header and a log line; empty where nothing is left."""
    return _UNFIT.sub("", header[:_ID_CHARACTERS]) if header else ""


@web.middleware
async def observe(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every request, whatever the handler does."""
    app = request.app
    clock = app[keys.CLOCK]
    began = clock.monotonic()
    request_id = sent_id(request.headers.get("X-Request-Id")) or app[keys.NEW_REQUEST_ID]()
    request[keys.REQUEST_ID] = request_id
    try:
        response = await handler(request)
    except Problem as problem:
        response = problem.response(request_id)
    except (OryxError, web.HTTPException) as error:
        response = _refusal(error, request).response(request_id)
    except Exception:
        log.exception("request_failed", request_id=request_id, path=request.raw_path[:_PATH_CHARACTERS])
        response = _unforeseen().response(request_id)
    if not response.prepared:
        add_common_headers(request, response)
        await _compress(request, response)
    app[RECORDER].record(request, response, clock.monotonic() - began)
    return response


def _refusal(error: OryxError | web.HTTPException, request: web.Request) -> Problem:
    problem = Problem.of(error)
    if problem is None:
        log.error("request_failed", request_id=request[keys.REQUEST_ID], exc_info=error)
        return _unforeseen()
    return problem


def _unforeseen() -> Problem:
    return Problem(
        HTTPStatus.INTERNAL_SERVER_ERROR, "this should not have happened; the log has more under the request's ID"
    )


async def _compress(request: web.Request, response: web.StreamResponse) -> None:
    """Compress an answer as the client likes it, in the pool if it is large."""
    if not isinstance(response, web.Response) or not isinstance(response.body, bytes):
        return
    if len(response.body) < WORTH_COMPRESSING_BYTES or hdrs.CONTENT_ENCODING in response.headers:
        return
    if hdrs.VARY not in response.headers:
        response.headers[hdrs.VARY] = hdrs.ACCEPT_ENCODING
    coding = choose(accepted_codings(request))
    if coding is None or coding == "identity":
        return
    cost = len(response.body) * _COST_PER_BYTE
    response.body = await offload(request.app[keys.POOL], cost, compressed, response.body, coding)
    response.headers[hdrs.CONTENT_ENCODING] = coding
