"""Around every request: its ID, its refusals as problems, common headers, the log and the metrics."""

from http import HTTPStatus
from typing import Final

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from oryx_py.errors import OryxError
from serving_layer.event_loop.offload import offload
from serving_layer.http_semantics.accept_encoding import choose
from serving_layer.http_semantics.compression import WORTH_COMPRESSING_BYTES, compressed
from serving_layer.http_semantics.problems import Problem
from serving_layer.requests import app_keys
from serving_layer.requests.recorder import RECORDER
from serving_layer.requests.request_ids import sent_id
from serving_layer.requests.response_headers import accepted_codings, add_common_headers

__all__ = ["observe", "problem_of"]

log = structlog.get_logger("serving")

_PATH_CHARACTERS: Final = 512
_COST_PER_BYTE: Final = 50
"""Of compressing, in the unit of `offload`: 30 kB are what the loop does itself."""


@web.middleware
async def observe(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every request, whatever the handler does."""
    app = request.app
    clock = app[app_keys.CLOCK]
    began = clock.monotonic()
    request_id = sent_id(request.headers.get("X-Request-Id")) or app[app_keys.NEW_REQUEST_ID]()
    request[app_keys.REQUEST_ID] = request_id
    try:
        response = await handler(request)
    except Exception as error:  # noqa: BLE001 - whatever it is, the client has an answer
        response = problem_of(error, request_id, request.raw_path).response(request_id)
    if not response.prepared:
        add_common_headers(request, response)
        await _compress(request, response)
    app[RECORDER].record(request, response, clock.monotonic() - began)
    return response


def problem_of(error: Exception, request_id: str, path: str) -> Problem:
    """Return what a client is told of an error; what is this program's fault goes into the log."""
    known = error if isinstance(error, Problem) else None
    if isinstance(error, OryxError | web.HTTPException):
        known = Problem.of(error)
    if known is None:
        log.error("request_failed", request_id=request_id, path=path[:_PATH_CHARACTERS], exc_info=error)
        return Problem(
            HTTPStatus.INTERNAL_SERVER_ERROR, "this should not have happened; the log has more under the request's ID"
        )
    return known


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
    response.body = await offload(request.app[app_keys.POOL], cost, compressed, response.body, coding)
    response.headers[hdrs.CONTENT_ENCODING] = coding
