"""Puts the serving layer together from the settings, and runs it."""

import asyncio
import gc
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import count
from uuid import uuid4

import faiss
import structlog
import uvloop
from aiohttp import web
from msgspec.structs import replace
from prometheus_client import CollectorRegistry, ProcessCollector
from threadpoolctl import threadpool_limits

from oryx_py.adapters.async_producer import AsyncProducer
from oryx_py.adapters.clock import SystemClock
from oryx_py.adapters.kafka import KafkaAdmin, KafkaConsumer, KafkaProducer
from oryx_py.adapters.places import open_checkpoints, open_registry, open_store, reach_of
from oryx_py.config import Api, Settings
from oryx_py.errors import Transient
from oryx_py.local.endpoint import located, resolve_bootstrap
from oryx_py.messages.partitions import homes_of
from oryx_py.ports import ArtefactStore, Clock, Consumer, Producer, TopicAdmin
from oryx_py.runtime.partition_counts import LOOK_S, changed_count
from oryx_py.runtime.stopping import Stopping
from oryx_py.runtime.telemetry import json_lines
from oryx_py.runtime.topics import check_identity, identify
from serving_layer.access_log import AccessLog
from serving_layer.app import build_app
from serving_layer.awaiting import Awaited
from serving_layer.connections import Registered
from serving_layer.folding import ExactFolding, OryxFolding
from serving_layer.listening import allow_files, listen
from serving_layer.metrics import Metrics
from serving_layer.model_manager import FollowSettings, ModelManager
from serving_layer.pinned import PinnedSender
from serving_layer.registry_source import RegistryReader
from serving_layer.sources import open_source

__all__ = ["Ports", "delivery_timeout_s", "one_core", "run", "serve"]

log = structlog.get_logger("serving")

_RETRY_S = 1.0
_POLL_S = 0.05
"""How soon a request to stop is seen."""


@dataclass(frozen=True, slots=True)
class Ports:
    """What the layer needs of the world."""

    admin: TopicAdmin
    producer: Producer
    new_consumer: Callable[[], Consumer]
    store: ArtefactStore
    registry: RegistryReader
    clock: Clock
    checkpoints: ArtefactStore | None = None


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
        new_request_id = _request_ids()
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
        registered = Registered(settings.serving.connections, collectors, new_request_id)
        port = await listen(runner, registered, settings.serving.host, settings.serving.port)
        log.info("serving_started", host=settings.serving.host, port=port, registry=settings.registry_uri)
        on_started(port)
        tasks.append(asyncio.create_task(registered.watch(), name="connections"))
        tasks.append(asyncio.create_task(_connect(settings, ports, awaited, metrics), name="connect"))
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


def products_on_one_core() -> None:
    """Let each matrix product be the work of the thread that asks for it, for the same reason as `one_core`.

    The libraries keep this number for the whole process; their own threads would take turns with the loop's.
    """
    threadpool_limits(1, user_api="blas")


def one_core() -> None:
    """Let a query of the calling thread be one core's work: requests run side by side, not each on all cores.

    OpenMP keeps this number thread by thread.
    """
    faiss.omp_set_num_threads(1)


def _request_ids() -> Callable[[], str]:
    """Return a maker of IDs that no other process makes: random is what one process has in common."""
    numbers, process = count(), uuid4().hex[:20]
    return lambda: f"{process}{next(numbers):012x}"


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


async def _connect(settings: Settings, ports: Ports, awaited: Awaited, metrics: Metrics) -> None:
    """Follow the topics and take writes, as soon as Kafka answers and the topics are those of the store.

    Goes on to look whether they stay so: another count of partitions would put users where nobody has their histories.
    """
    follow = await _follow_settings(settings, ports, awaited)
    source = open_source(
        settings,
        follow,
        registry=ports.registry,
        store=ports.store,
        admin=ports.admin,
        new_consumer=ports.new_consumer,
        clock=ports.clock,
        checkpoints=ports.checkpoints,
    )
    models = ModelManager(
        source=source,
        admin=ports.admin,
        new_consumer=ports.new_consumer,
        settings=follow,
        clock=ports.clock,
        metrics=metrics,
    )
    models.start()
    sender = AsyncProducer(ports.producer, asyncio.get_running_loop())
    if settings.update.dialect != "oryx":
        awaited.connect(models, sender, follow.input_partitions)
        return
    topic, partitions = settings.input.topic, follow.input_partitions
    await asyncio.to_thread(homes_of, ["", ""], max(2, partitions))  # compiled before the loop needs it
    pinned = PinnedSender(sender, topic, partitions)
    awaited.connect(models, pinned, partitions)
    while True:
        pinned.trouble = awaited.models.trouble = await asyncio.to_thread(
            changed_count, ports.admin, {topic: partitions}
        )
        await asyncio.sleep(LOOK_S)


async def _follow_settings(settings: Settings, ports: Ports, awaited: Awaited) -> FollowSettings:
    """Look at the topics, as soon as the broker answers."""

    def look() -> FollowSettings:
        found = identify(ports.admin, [settings.input.topic, settings.update.topic])
        if settings.update.dialect == "oryx":  # else the registry, if there is one, is of other topics
            check_identity(ports.registry.read().topics, found)
        return FollowSettings(
            update_topic=settings.update.topic,
            update_partitions=found.topics[settings.update.topic].partitions,
            input_partitions=found.topics[settings.input.topic].partitions,
            require_live=settings.serving.require_live,
            patience_s=settings.serving.epoch_patience_s,
        )

    while True:
        try:
            return await asyncio.to_thread(look)
        except Transient as trouble:
            log.warning("waiting_to_start", reason=str(trouble))
            awaited.models.reason = f"waiting for Kafka and the store: {trouble}"
            await asyncio.sleep(_RETRY_S)
