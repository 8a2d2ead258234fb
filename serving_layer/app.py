"""The application: which path leads where, and within which bounds."""

import os
from collections.abc import Iterator
from concurrent.futures import Executor
from typing import Final

from aiohttp import web

from oryx_py.config import Api
from oryx_py.oryx2.java_numbers import java_texts
from oryx_py.ports import Clock
from serving_layer.api.operation import Operation
from serving_layer.api.parameter import Place
from serving_layer.api.rendering import shortest
from serving_layer.connections.fast_reads import FAST_READS, fast_reads
from serving_layer.connections.fast_writes import FAST_WRITES, fast_writes
from serving_layer.event_loop.bulk_write_turns import BulkWriteTurns
from serving_layer.handlers.operations import OPERATIONS
from serving_layer.http_semantics.byte_budget import ByteBudget
from serving_layer.ingestion.spool import SpoolPlace
from serving_layer.metrics import Metrics
from serving_layer.model.model_provider import ModelProvider
from serving_layer.pages.site import pages_of
from serving_layer.producing.ports import AsyncSender, Partitions
from serving_layer.requests import app_keys
from serving_layer.requests.access_log import AccessLog
from serving_layer.requests.admission import bounded, few, forbidden, of_this_site
from serving_layer.requests.answering import answering
from serving_layer.requests.batch_read_turns import BatchReadTurns
from serving_layer.requests.middleware import observe
from serving_layer.requests.recorder import RECORDER, Recorder
from serving_layer.requests.request_ids import NewId
from serving_layer.rescoring.loading import providers_of
from serving_layer.rescoring.plugin_threads import PluginThreads
from serving_layer.rescoring.plugins import Plugins
from serving_layer.search.fold_in import Folding

__all__ = ["build_app"]

_ONE: Final = r"[^/]*"
_MORE: Final = r"[\s\S]*"
_BODIES_AT_ONCE = 4
"""How many bodies of the largest size fit into memory together."""


def build_app(
    *,
    api: Api,
    models: ModelProvider,
    producer: AsyncSender,
    clock: Clock,
    metrics: Metrics,
    pool: Executor,
    input_topic: str,
    input_partitions: Partitions,
    new_request_id: NewId,
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
    app[app_keys.API] = api
    app[app_keys.MODELS] = models
    app[app_keys.PRODUCER] = producer
    app[app_keys.CLOCK] = clock
    app[app_keys.FOLDING] = folding
    app[app_keys.METRICS] = metrics
    app[RECORDER] = Recorder(metrics, clock, access_log)
    app[app_keys.POOL] = pool
    app[app_keys.PLUGINS] = Plugins(
        providers_of(api.rescorer), PluginThreads(max(2, os.cpu_count() or 1), metrics.rescorers_running)
    )
    # There are threads left for others.
    at_once = max(1, (os.cpu_count() or 1) // 2)
    app[app_keys.BATCHES] = BatchReadTurns(at_once, most_waiting=16 * at_once)
    app[app_keys.BODY_BUDGET] = ByteBudget(_BODIES_AT_ONCE * max(api.max_inflated_bytes, api.max_body_bytes))
    app[app_keys.SPOOLS] = SpoolPlace(api.spool_dir, api.max_spool_bytes)
    app[app_keys.TURNS] = BulkWriteTurns()
    running = app[app_keys.RUNNING] = app_keys.Running()
    metrics.requests_running.set_function(lambda: running.count)
    app[app_keys.INPUT_TOPIC] = input_topic
    app[app_keys.INPUT_PARTITIONS] = input_partitions
    app[app_keys.DEDUPE_RECORDS] = dedupe_records
    app[app_keys.NEW_REQUEST_ID] = new_request_id
    app[app_keys.PAGES] = pages_of(api, OPERATIONS)
    root = f"/{prefix}" if prefix else ""
    write = java_texts if api.number_format == "java" else shortest
    for declared in OPERATIONS:
        answer = answering(declared, prefix=len(root.split("/")) - 1, write=write)
        if declared.writes:
            answer = forbidden if api.read_only else of_this_site(few(answer))
        if not declared.operating:
            answer = bounded(answer, paced=declared.paced, writes=declared.writes)
        for path in _routes(declared):
            if declared.method == "GET":
                app.router.add_get(root + path, answer)  # HEAD, too
                if path == "/" and root:
                    app.router.add_get(root, answer)  # people leave the slash out
            else:
                app.router.add_route(declared.method, root + path, answer)
    app[FAST_READS] = fast_reads(app, OPERATIONS, write)
    app[FAST_WRITES] = fast_writes(app)
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
