"""Around every request: its ID, its refusals as problems, common headers, the log and the metrics."""

import logging
import re
from http import HTTPStatus
from typing import Final

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from oryx_py.errors import OryxError
from serving_layer import keys
from serving_layer.handlers.negotiation import accepts_gzip
from serving_layer.problems import Problem

__all__ = ["observe", "request_id_of"]

log = structlog.get_logger("serving")
_log_level = logging.getLogger("serving")

_UNFIT: Final = re.compile(r"[^!-~]")
_ID_CHARACTERS: Final = 128
_PATH_CHARACTERS: Final = 512
_WORTH_COMPRESSING_BYTES: Final = 1400
_PROBES: Final = ("/ready", "/healthz", "/metrics")
"""They come every few seconds and are logged for debugging only."""
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "DELETE", "PUT", "PATCH", "OPTIONS"})


def request_id_of(header: str | None, new: keys.NewId) -> str:
    """Return the caller's ID as far as it may stand in a header and a log line, or a new one where nothing is left."""
    if not header:
        return new()
    return _UNFIT.sub("", header[:_ID_CHARACTERS]) or new()


@web.middleware
async def observe(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every request, whatever the handler does."""
    app = request.app
    clock = app[keys.CLOCK]
    began = clock.monotonic()
    request_id = request_id_of(request.headers.get("X-Request-Id"), app[keys.NEW_REQUEST_ID])
    request[keys.REQUEST_ID] = request_id
    metrics = app[keys.METRICS]
    metrics.requests_running.inc()
    try:
        response = await handler(request)
    except Problem as problem:
        response = problem.response(request_id)
    except (OryxError, web.HTTPException) as error:
        response = _refusal(error, request).response(request_id)
    except Exception:
        log.exception("request_failed", request_id=request_id, path=request.raw_path[:_PATH_CHARACTERS])
        response = _unforeseen().response(request_id)
    finally:
        metrics.requests_running.dec()
    model = request.get(keys.TAKEN) or app[keys.MODELS].served()
    response.headers["X-Request-Id"] = request_id
    response.headers[hdrs.SERVER] = "oryx"  # aiohttp would tell its version and Python's
    if model is not None:
        response.headers["X-Oryx-Generation"] = model.generation
    _compress(request, response)
    _record(request, response, clock.monotonic() - began)
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


def _compress(request: web.Request, response: web.StreamResponse) -> None:
    if not isinstance(response, web.Response) or not isinstance(response.body, bytes):
        return
    if len(response.body) >= _WORTH_COMPRESSING_BYTES and accepts_gzip(request.headers.get(hdrs.ACCEPT_ENCODING)):
        response.enable_compression(web.ContentCoding.gzip)


def _record(request: web.Request, response: web.StreamResponse, seconds: float) -> None:
    resource = request.match_info.route.resource
    route = resource.canonical if resource is not None else "none"
    method = request.method if request.method in _METHODS else "other"
    request.app[keys.METRICS].request_seconds.labels(route, method, str(response.status)).observe(seconds)
    if not _log_level.isEnabledFor(logging.DEBUG if route.endswith(_PROBES) else logging.INFO):
        return
    model = request.get(keys.TAKEN)
    fields = {} if model is None else {"epoch": model.epoch, "input": dict(model.state.progress())}
    log.info(
        "request",
        request_id=request[keys.REQUEST_ID],
        method=method,
        route=route,
        path=request.raw_path[:_PATH_CHARACTERS],
        status=response.status,
        ms=round(seconds * 1000, 3),
        **fields,
    )
