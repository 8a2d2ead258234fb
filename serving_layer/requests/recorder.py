"""What is counted and logged of every request."""

import logging
from collections.abc import Callable
from typing import Final

import structlog
from aiohttp import web

from oryx_py.ports import Clock
from serving_layer.metrics import Metrics
from serving_layer.model.served_model import ServedModel
from serving_layer.requests import app_keys
from serving_layer.requests.access_log import AccessLog, RequestLine

__all__ = ["RECORDER", "Recorder"]

log = structlog.get_logger("serving")
_log_level = logging.getLogger("serving")

_PATH_CHARACTERS: Final = 512
_PROBES: Final = ("/ready", "/healthz", "/metrics")
"""They come every few seconds and are logged for debugging only."""
_NO_ROUTE: Final = "none"
_NO_METHOD: Final = "other"
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "DELETE", "PUT", "PATCH", "OPTIONS"})


class Recorder:
    """Counts requests by route, method and status, and logs a line each; for the loop.

    Args:
        metrics: what is counted.
        clock: for the line's time.
        access_log: takes the lines; structlog does where there is none, as where people read.
    """

    def __init__(self, metrics: Metrics, clock: Clock, access_log: AccessLog | None = None) -> None:
        self._metrics = metrics
        self._clock = clock
        self._access_log = access_log
        # By route, method, status: looking a child up in the metric takes as long as observing it. As few as there.
        self._observe: dict[tuple[str, str, int], Callable[[float], None]] = {}

    def record(self, request: web.Request, response: web.StreamResponse, seconds: float) -> None:
        """Count and log a request, answered or not."""
        resource = request.match_info.route.resource
        route = resource.canonical if resource is not None else _NO_ROUTE
        method = request.method if request.method in _METHODS else _NO_METHOD
        self._count(route, method, response.status, seconds)
        if _log_level.isEnabledFor(logging.DEBUG if route.endswith(_PROBES) else logging.INFO):
            self._log(self._line(request, route, method, response.status, seconds))

    def record_plain(
        self,
        route: str,
        path: str,
        request_id: str,
        model: ServedModel | None,
        seconds: float,
        *,
        user: str | None = None,
        method: str = "GET",
        status: int = 200,
    ) -> None:
        """Count and log a request that the connection answered just now, from this model or from none, to a user."""
        self._count(route, method, status, seconds)
        if _log_level.isEnabledFor(logging.INFO):
            taken = () if model is None else (model.generation, model.epoch, model.state.reached(user))
            ms = round(seconds * 1000, 3)
            told = (request_id, method, route, path[:_PATH_CHARACTERS], status, ms)
            self._log(RequestLine(self._clock.now_ms(), *told, *taken))

    def refused(self, request_id: str, status: int) -> None:
        """Count and log the answer to what is no request."""
        self._count(_NO_ROUTE, _NO_METHOD, status, 0.0)
        if _log_level.isEnabledFor(logging.INFO):
            self._log(RequestLine(self._clock.now_ms(), request_id, _NO_METHOD, _NO_ROUTE, "", status, 0.0))

    def _count(self, route: str, method: str, status: int, seconds: float) -> None:
        known = (route, method, status)
        observe = self._observe.get(known)
        if observe is None:
            observe = self._metrics.request_seconds.labels(route, method, str(status)).observe
            self._observe[known] = observe
        observe(seconds)

    def _log(self, line: RequestLine) -> None:
        if self._access_log is not None:
            self._access_log.add(line)
        else:
            log.info("request", **line.fields())

    def _line(self, request: web.Request, route: str, method: str, status: int, seconds: float) -> RequestLine:
        taken = request.get(app_keys.TAKEN)
        line = RequestLine(
            self._clock.now_ms(),
            request[app_keys.REQUEST_ID],
            method,
            route,
            request.raw_path[:_PATH_CHARACTERS],
            status,
            round(seconds * 1000, 3),
            *(() if taken is None else (taken.model.generation, taken.model.epoch, taken.input)),
        )
        reason = request.get(app_keys.BROKEN_OFF)
        return line if reason is None else line._replace(broken_off=reason)


RECORDER: Final = web.AppKey("recorder", Recorder)
