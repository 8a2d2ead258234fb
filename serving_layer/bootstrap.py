"""Puts the serving layer together from the settings, and runs it."""

import asyncio
import gc
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack

import structlog
import uvloop
from aiohttp import web
from msgspec.structs import replace
from prometheus_client import CollectorRegistry, ProcessCollector

from oryx_py.adapters.clock import SystemClock
from oryx_py.adapters.kafka import KafkaAdmin, KafkaConsumer, KafkaProducer
from oryx_py.adapters.places import open_checkpoints, open_registry, open_store, reach_of
from oryx_py.config import Api, Settings
from oryx_py.local.endpoint import located, resolve_bootstrap
from oryx_py.runtime.stopping import Stopping
from oryx_py.runtime.telemetry import json_lines
from serving_layer.app import build_app
from serving_layer.connections.listener import listen
from serving_layer.connections.open_connections import OpenConnections
from serving_layer.metrics import Metrics
from serving_layer.requests.access_log import AccessLog
from serving_layer.requests.request_ids import new_ids
from serving_layer.search.fold_in import ExactFolding, OryxFolding
from serving_layer.startup.connecting import connect
from serving_layer.startup.kafka_pending import Awaited
from serving_layer.startup.ports import Ports
from serving_layer.startup.process_limits import allow_files, one_core, products_on_one_core

__all__ = ["delivery_timeout_s", "run", "serve"]

log = structlog.get_logger("serving")

_POLL_S = 0.05
"""How soon a request to stop is seen."""


def run(settings: Settings, stopping: Stopping) -> int:
    """Run the serving layer until it is asked to stop; returns the exit code.

    The event loop runs in a thread of its own: the main thread's signals belong to ``stopping``.

    Raises:
        OryxError: it cannot begin; the message says what to do.
    """
    settings = located(settings)
    bootstrap, client, reach = resolve_bootstrap(settings), settings.kafka.client, reach_of(settings)
    ports = Ports(
        admin=KafkaAdmin(bootstrap, client),
        producer=KafkaProducer(bootstrap, client, delivery_timeout_s=delivery_timeout_s(settings.serving.api)),
        new_consumer=lambda: KafkaConsumer(bootstrap, client, None),
        store=open_store(settings.store_uri, reach),
        registry=open_registry(settings.registry_uri, reach),
        clock=SystemClock(),
        checkpoints=open_checkpoints(settings.store_uri, reach),
    )
    # Some hundred thousand objects of the libraries stay for good. Looking at them again and again, the collector would
    # hold up the loop for tens of milliseconds each time.
    gc.collect()
    gc.freeze()
    try:
        with ThreadPoolExecutor(1, thread_name_prefix="loop") as thread:
            return thread.submit(uvloop.run, serve(settings, ports, stopping)).result()
    finally:
        ports.producer.close(settings.serving.shutdown_grace_s)


async def serve(
    settings: Settings,
    ports: Ports,
    stopping: Stopping,
    on_started: Callable[[int], None] = lambda _port: None,
) -> int:
    """Serve until asked to stop: first stop accepting, then finish what was begun, then stop following.

    It listens at once. Until Kafka has answered, every request that needs it is told so.

    Args:
        settings: all of them.
        ports: the world.
        stopping: whether to stop.
        on_started: called with the port once it accepts connections.

    Raises:
        TopicsChanged: the topics are not there, or not those that the store belongs to.
        ConfigError: the address cannot be listened on.
    """
    one_core()
    products_on_one_core()
    allow_files(settings.serving.connections.max)
    collectors = CollectorRegistry()
    ProcessCollector(registry=collectors)
    metrics = Metrics(collectors)
    tasks: list[asyncio.Task[None]] = []
    async with AsyncExitStack() as undo:
        pool = undo.enter_context(ThreadPoolExecutor(os.cpu_count() or 1, "search", initializer=one_core))
        awaited = Awaited()
        undo.push_async_callback(awaited.models.close)
        undo.push_async_callback(_end, tasks)
        new_request_id = new_ids()
        app = build_app(
            api=replace(settings.serving.api, spool_dir=settings.spool_dir),
            models=awaited.models,
            producer=awaited.sender,
            clock=ports.clock,
            metrics=metrics,
            pool=pool,
            input_topic=settings.input.topic,
            input_partitions=awaited.input_partitions,
            dedupe_records=settings.input.dedupe_records,
            new_request_id=new_request_id,
            access_log=_access_log(metrics, undo),
            folding=OryxFolding() if settings.speed.fold_in == "oryx" else ExactFolding(),
        )
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=settings.serving.shutdown_grace_s)
        undo.push_async_callback(runner.cleanup)
        connections = OpenConnections(settings.serving.connections, collectors, new_request_id)
        port = await listen(runner, connections, settings.serving.host, settings.serving.port)
        log.info("serving_started", host=settings.serving.host, port=port, registry=settings.registry_uri)
        on_started(port)
        tasks.append(asyncio.create_task(connections.watch(), name="connections"))
        tasks.append(asyncio.create_task(connect(settings, ports, awaited, metrics), name="connect"))
        while not stopping.requested:
            for task in tasks:
                if task.done():
                    task.result()  # what went wrong ends the layer
            await asyncio.sleep(_POLL_S)
        log.info("serving_stopping")
    return 0


def delivery_timeout_s(api: Api) -> float:
    """Return after how long the producer gives a write up: before the client is answered, mostly.

    librdkafka looks for late records once a second, so with the default settings a third of the time is left for that.
    """
    return api.write_timeout_ms / 1000 * 2 / 3


def _access_log(metrics: Metrics, undo: AsyncExitStack) -> AccessLog | None:
    write = json_lines()
    if write is None:
        return None
    access_log = AccessLog(write, metrics.log_lines_dropped.inc)
    undo.push_async_callback(access_log.close)
    return access_log


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
