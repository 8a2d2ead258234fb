"""The application: which path leads where, and within which bounds."""

import os
from collections.abc import Iterator
from concurrent.futures import Executor
from typing import Final

from aiohttp import web

from oryx_py.config import Api
from oryx_py.oryx2.java_numbers import java_texts
from oryx_py.ports import Clock
from serving_layer import keys
from serving_layer.access_log import AccessLog
from serving_layer.api.answers import shortest
from serving_layer.api.arguments import Place
from serving_layer.api.operation import Operation
from serving_layer.api.operations import OPERATIONS
from serving_layer.api.run import AiohttpHandler, answering
from serving_layer.at_once import AT_ONCE, answers_at_once
from serving_layer.batch_turns import BatchTurns
from serving_layer.bodies import ByteBudget
from serving_layer.cross_site import refuse_cross_site
from serving_layer.deadline import within
from serving_layer.folding import Folding
from serving_layer.handlers.writing import stopped_midway
from serving_layer.ingestion.spool import SpoolPlace
from serving_layer.ingestion.turns import Turns
from serving_layer.metrics import Metrics
from serving_layer.models import Models
from serving_layer.observing import observe
from serving_layer.pages.site import pages_of
from serving_layer.problems import Problem
from serving_layer.recording import RECORDER, Recorder
from serving_layer.rescoring.loading import providers_of
from serving_layer.rescoring.plugins import Plugins
from serving_layer.rescoring.threads import PluginThreads
from serving_layer.written_at_once import WRITES_AT_ONCE, writes_at_once

__all__ = ["build_app"]

_ONE: Final = r"[^/]*"
_MORE: Final = r"[\s\S]*"
_BODIES_AT_ONCE = 4
"""How many bodies of the largest size fit into memory together."""


def build_app(
    *,
    api: Api,
    models: Models,
    producer: keys.AsyncSender,
    clock: Clock,
    metrics: Metrics,
    pool: Executor,
    input_topic: str,
    input_partitions: keys.Partitions,
    new_request_id: keys.NewId,
    folding: Folding,
    dedupe_records: int = 1_000_000,
    access_log: AccessLog | None = None,
) -> web.Application:
    """Build the application; bodies reach it as they were sent.

    Args:
        api: the settings of the interface.
        models: where requests take their model from.
        producer: where writes go.
        clock: for times and durations.
        metrics: what is counted.
        pool: for work too long for the loop.
        input_topic: where interactions go.
        input_partitions: of that topic; raises as long as that is not known.
        new_request_id: makes up the ID of a request that came without.
        folding: makes a vector of interactions that are not stored.
        dedupe_records: so far back, by partition of the input, a repeat is known.
        access_log: takes the line of each request; without one it goes where all events go.
    """
    app = web.Application(middlewares=[observe])
    prefix = api.context_path.strip("/")
    app[keys.API] = api
    app[keys.MODELS] = models
    app[keys.PRODUCER] = producer
    app[keys.CLOCK] = clock
    app[keys.FOLDING] = folding
    app[keys.METRICS] = metrics
    app[RECORDER] = Recorder(metrics, clock, access_log)
    app[keys.POOL] = pool
    app[keys.PLUGINS] = Plugins(
        providers_of(api.rescorer), PluginThreads(max(2, os.cpu_count() or 1), metrics.rescorers_running)
    )
    # There are threads left for others.
    at_once = max(1, (os.cpu_count() or 1) // 2)
    app[keys.BATCHES] = BatchTurns(at_once, most_waiting=16 * at_once)
    app[keys.BODY_BUDGET] = ByteBudget(_BODIES_AT_ONCE * max(api.max_inflated_bytes, api.max_body_bytes))
    app[keys.SPOOLS] = SpoolPlace(api.spool_dir, api.max_spool_bytes)
    app[keys.TURNS] = Turns()
    running = app[keys.RUNNING] = keys.Running()
    metrics.requests_running.set_function(lambda: running.count)
    app[keys.INPUT_TOPIC] = input_topic
    app[keys.INPUT_PARTITIONS] = input_partitions
    app[keys.DEDUPE_RECORDS] = dedupe_records
    app[keys.NEW_REQUEST_ID] = new_request_id
    app[keys.PAGES] = pages_of(api)
    root = f"/{prefix}" if prefix else ""
    write = java_texts if api.number_format == "java" else shortest
    for declared in OPERATIONS:
        answer = answering(declared, prefix=len(root.split("/")) - 1, write=write)
        if declared.writes:
            answer = _forbidden if api.read_only else _of_this_site(_few(answer))
        if not declared.operating:
            answer = _bounded(answer, paced=declared.paced, writes=declared.writes)
        for path in _routes(declared):
            if declared.method == "GET":
                app.router.add_get(root + path, answer)  # HEAD, too
                if path == "/" and root:
                    app.router.add_get(root, answer)  # people leave the slash out
            else:
                app.router.add_route(declared.method, root + path, answer)
    app[AT_ONCE] = answers_at_once(app, OPERATIONS, write)
    app[WRITES_AT_ONCE] = writes_at_once(app)
    return app


def _routes(declared: Operation) -> Iterator[str]:
    """Return aiohttp's patterns for an endpoint's path."""
    path = declared.path
    for parameter in declared.parameters():
        name = f"{{{parameter.name}}}"
        if parameter.optional:
            yield path.replace(f"/{name}", "")
        if parameter.place is not Place.QUERY:
            pattern = _ONE if parameter.place is Place.SEGMENT else _MORE
            path = path.replace(name, f"{{{parameter.name}:{pattern}}}")
    yield path


def _bounded(handler: AiohttpHandler, *, paced: bool, writes: bool) -> AiohttpHandler:
    """Let only so many requests be at work at the same time, each only for so long; ``paced`` ones see to that."""

    async def bounded(request: web.Request) -> web.StreamResponse:
        api, running = request.app[keys.API], request.app[keys.RUNNING]
        if running.count >= api.max_concurrent_requests:
            raise Problem.busy(f"{running.count} requests are being answered: ask again in a moment")
        running.count += 1
        try:
            return await within(None if paced else api.request_timeout_ms / 1000, handler(request))
        except TimeoutError:
            raise _cut_off(request, api.request_timeout_ms, writes=writes) from None
        finally:
            running.count -= 1

    return bounded


def _few(handler: AiohttpHandler) -> AiohttpHandler:
    """Leave half of the requests at a time to reads: while Kafka is away, writes wait for it, and reads need not."""

    async def few(request: web.Request) -> web.StreamResponse:
        api, running = request.app[keys.API], request.app[keys.RUNNING]
        if running.writes >= max(1, api.max_concurrent_requests // 2):
            raise Problem.busy(f"{running.writes} writes wait for Kafka: send this again in a moment")
        running.writes += 1
        try:
            return await handler(request)
        finally:
            running.writes -= 1

    return few


def _of_this_site(handler: AiohttpHandler) -> AiohttpHandler:
    """Refuse what a page of another site sends."""

    async def of_this_site(request: web.Request) -> web.StreamResponse:
        refuse_cross_site(request)
        return await handler(request)

    return of_this_site


def _cut_off(request: web.Request, timeout_ms: int, *, writes: bool) -> Problem:
    """Return the answer to a request that took too long, with what it had stored until then."""
    stored = request.get(keys.STORED)
    if stored is None:
        but = "; the write may be stored all the same" if writes else ""
        return Problem.unavailable(f"this was not done within {timeout_ms} ms{but}")
    return stopped_midway(f"this was not done within {timeout_ms} ms", stored)


async def _forbidden(request: web.Request) -> web.StreamResponse:  # noqa: ARG001
    raise Problem(403, "this service is read-only (serving.api.read_only)")
