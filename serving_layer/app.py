"""The application: which path leads where, and within which bounds."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import Any, Final, NamedTuple, TypeAlias

from aiohttp import web

from oryx_py.config import Api
from oryx_py.ports import Clock
from serving_layer import keys
from serving_layer.bodies import ByteBudget
from serving_layer.handlers.catalogue import known_items, most_popular_items
from serving_layer.handlers.estimate import estimate
from serving_layer.handlers.ingest import ingest
from serving_layer.handlers.operating import healthz, metrics, ready
from serving_layer.handlers.pref import delete_pref, post_pref
from serving_layer.handlers.recommend import recommend, recommend_to_anonymous
from serving_layer.handlers.similarity import because, similarity
from serving_layer.handlers.writing import stopped_midway
from serving_layer.metrics import Metrics
from serving_layer.model_manager import Models
from serving_layer.observing import observe
from serving_layer.problems import Problem

__all__ = ["HTTP_LIMITS", "build_app"]

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.Response]]

HTTP_LIMITS: Final[dict[str, Any]] = {
    # Two IDs of 1,024 bytes, every byte percent-encoded, take 6 KB.
    "max_line_size": 16_384,
    "max_field_size": 16_384,
    # Bodies are inflated by the handlers, within the bounds of the settings.
    "auto_decompress": False,
}
"""For the runner of the application."""

_BODIES_AT_ONCE = 4
"""How many bodies of the largest size fit into memory together."""
_ONE = r"[^/]*"
_MORE = r"[\s\S]*"


class _Route(NamedTuple):
    method: str
    path: str
    handler: Handler


_READS = (
    _Route("GET", f"/recommend/{{user:{_ONE}}}", recommend),
    _Route("GET", f"/recommendToAnonymous/{{items:{_MORE}}}", recommend_to_anonymous),
    _Route("GET", f"/similarity/{{items:{_MORE}}}", similarity),
    _Route("GET", f"/estimate/{{user:{_ONE}}}/{{items:{_MORE}}}", estimate),
    _Route("GET", f"/because/{{user:{_ONE}}}/{{item:{_ONE}}}", because),
    _Route("GET", f"/knownItems/{{user:{_ONE}}}", known_items),
    _Route("GET", "/mostPopularItems", most_popular_items),
)
_WRITES = (
    _Route("POST", f"/pref/{{user:{_ONE}}}/{{item:{_ONE}}}", post_pref),
    _Route("DELETE", f"/pref/{{user:{_ONE}}}/{{item:{_ONE}}}", delete_pref),
    _Route("POST", "/ingest", ingest),
)
_OPERATING = (
    _Route("GET", "/ready", ready),
    _Route("GET", "/healthz", healthz),
    _Route("GET", "/metrics", metrics),
)


def build_app(
    *,
    api: Api,
    models: Models,
    producer: keys.AsyncSender,
    clock: Clock,
    metrics: Metrics,
    pool: Executor,
    input_topic: str,
    input_partitions: int,
    new_request_id: keys.NewId,
) -> web.Application:
    """Build the application; to be run with `HTTP_LIMITS`.

    Args:
        api: the settings of the interface.
        models: where requests take their model from.
        producer: where writes go.
        clock: for times and durations.
        metrics: what is counted.
        pool: for work too long for the loop.
        input_topic: where interactions go.
        input_partitions: of that topic.
        new_request_id: makes up the ID of a request that came without.
    """
    app = web.Application(middlewares=[observe])
    prefix = api.context_path.strip("/")
    app[keys.API] = api
    app[keys.MODELS] = models
    app[keys.PRODUCER] = producer
    app[keys.CLOCK] = clock
    app[keys.METRICS] = metrics
    app[keys.POOL] = pool
    app[keys.BODY_BUDGET] = ByteBudget(_BODIES_AT_ONCE * max(api.max_inflated_bytes, api.max_body_bytes))
    app[keys.RUNNING] = keys.Running()
    app[keys.INPUT_TOPIC] = input_topic
    app[keys.INPUT_PARTITIONS] = input_partitions
    app[keys.PREFIX_SEGMENTS] = len(prefix.split("/")) if prefix else 0
    app[keys.NEW_REQUEST_ID] = new_request_id
    root = f"/{prefix}" if prefix else ""
    for route in (*_READS, *_WRITES, *_OPERATING):
        handler = route.handler
        if route in _WRITES and api.read_only:
            handler = _forbidden
        if route not in _OPERATING:
            handler = _bounded(_few(handler) if route in _WRITES else handler)
        if route.method == "GET":
            app.router.add_get(root + route.path, handler)  # HEAD, too
        else:
            app.router.add_route(route.method, root + route.path, handler)
    return app


def _bounded(handler: Handler) -> Handler:
    """Let only so many requests be at work at the same time, each only for so long."""

    async def bounded(request: web.Request) -> web.Response:
        api, running = request.app[keys.API], request.app[keys.RUNNING]
        if running.count >= api.max_concurrent_requests:
            raise Problem.busy(f"{running.count} requests are being answered: ask again in a moment")
        running.count += 1
        try:
            async with asyncio.timeout(api.request_timeout_ms / 1000):
                return await handler(request)
        except TimeoutError:
            raise _cut_off(request, api.request_timeout_ms) from None
        finally:
            running.count -= 1

    return bounded


def _few(handler: Handler) -> Handler:
    """Leave half of the requests at a time to reads: while Kafka is away, writes wait for it, and reads need not."""

    async def few(request: web.Request) -> web.Response:
        api, running = request.app[keys.API], request.app[keys.RUNNING]
        if running.writes >= max(1, api.max_concurrent_requests // 2):
            raise Problem.busy(f"{running.writes} writes wait for Kafka: send this again in a moment")
        running.writes += 1
        try:
            return await handler(request)
        finally:
            running.writes -= 1

    return few


def _cut_off(request: web.Request, timeout_ms: int) -> Problem:
    """Return the answer to a request that took too long, with what it had stored until then."""
    stored = request.get(keys.STORED)
    if stored is None:
        return Problem.unavailable(f"this was not done within {timeout_ms} ms; a write may be stored all the same")
    return stopped_midway(f"this was not done within {timeout_ms} ms", stored)


async def _forbidden(request: web.Request) -> web.Response:  # noqa: ARG001
    raise Problem(403, "this service is read-only (serving.api.read_only)")
