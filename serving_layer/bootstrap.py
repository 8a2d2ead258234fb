"""Puts the serving layer together from the settings, and runs it."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass
from uuid import uuid4

import faiss
import structlog
import uvloop
from aiohttp import web
from prometheus_client import CollectorRegistry, ProcessCollector

from oryx_py.adapters.async_producer import AsyncProducer
from oryx_py.adapters.clock import SystemClock
from oryx_py.adapters.kafka import KafkaAdmin, KafkaConsumer, KafkaProducer
from oryx_py.adapters.places import open_registry, open_store
from oryx_py.config import Api, Settings
from oryx_py.errors import ConfigError, Transient
from oryx_py.local.endpoint import resolve_bootstrap
from oryx_py.ports import ArtefactStore, Clock, Consumer, Producer, TopicAdmin
from oryx_py.runtime.stopping import Stopping
from oryx_py.runtime.topics import check_identity, identify
from serving_layer.app import HTTP_LIMITS, build_app
from serving_layer.metrics import Metrics
from serving_layer.model_manager import FollowSettings, ModelManager, RegistryReader

__all__ = ["Ports", "delivery_timeout_s", "one_core", "run", "serve"]

log = structlog.get_logger("serving")

_RETRY_S = 1.0
_POLL_S = 0.05
"""How soon a request to stop is seen."""
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True)
class Ports:
    """What the layer needs of the world."""

    admin: TopicAdmin
    producer: Producer
    new_consumer: Callable[[], Consumer]
    store: ArtefactStore
    registry: RegistryReader
    clock: Clock


def run(settings: Settings, stopping: Stopping) -> int:
    """Run the serving layer until it is asked to stop; returns the exit code.

    The event loop runs in a thread of its own: the main thread's signals belong to ``stopping``.

    Raises:
        OryxError: it cannot begin; the message says what to do.
    """
    bootstrap, client = resolve_bootstrap(settings), settings.kafka.client
    ports = Ports(
        admin=KafkaAdmin(bootstrap, client),
        producer=KafkaProducer(bootstrap, client, delivery_timeout_s=delivery_timeout_s(settings.serving.api)),
        new_consumer=lambda: KafkaConsumer(bootstrap, client, None),
        store=open_store(settings.store_uri),
        registry=open_registry(settings.store_uri),
        clock=SystemClock(),
    )
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
    follow = await _follow_settings(settings, ports, stopping)
    if follow is None:
        return 0
    collectors = CollectorRegistry()
    ProcessCollector(registry=collectors)
    metrics = Metrics(collectors)
    async with AsyncExitStack() as undo:
        pool = undo.enter_context(ThreadPoolExecutor(os.cpu_count() or 1, "search", initializer=one_core))
        models = ModelManager(
            registry=ports.registry,
            store=ports.store,
            admin=ports.admin,
            new_consumer=ports.new_consumer,
            settings=follow,
            clock=ports.clock,
            metrics=metrics,
        )
        undo.push_async_callback(models.close)
        models.start()
        app = build_app(
            api=settings.serving.api,
            models=models,
            producer=AsyncProducer(ports.producer, asyncio.get_running_loop()),
            clock=ports.clock,
            metrics=metrics,
            pool=pool,
            input_topic=settings.input.topic,
            input_partitions=follow.input_partitions,
            new_request_id=lambda: uuid4().hex,
        )
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=settings.serving.shutdown_grace_s, **HTTP_LIMITS)
        undo.push_async_callback(runner.cleanup)
        port = await _listen(runner, settings.serving.host, settings.serving.port)
        log.info("serving_started", host=settings.serving.host, port=port)
        on_started(port)
        while not stopping.requested:  # noqa: ASYNC110 - a thread's event, which the loop cannot wait for
            await asyncio.sleep(_POLL_S)
        log.info("serving_stopping")
    return 0


def delivery_timeout_s(api: Api) -> float:
    """Return after how long the producer gives a write up: before the client is answered, mostly.

    librdkafka looks for late records once a second, so with the default settings a third of the time is left for that.
    """
    return api.write_timeout_ms / 1000 * 2 / 3


def one_core() -> None:
    """Let a query of the calling thread be one core's work: requests run side by side, not each on all cores.

    OpenMP keeps this number thread by thread.
    """
    faiss.omp_set_num_threads(1)


async def _follow_settings(settings: Settings, ports: Ports, stopping: Stopping) -> FollowSettings | None:
    """Look at the topics, as soon as the broker answers; None if asked to stop before."""

    def look() -> FollowSettings:
        found = identify(ports.admin, [settings.input.topic, settings.update.topic])
        check_identity(ports.registry.read().topics, found)
        return FollowSettings(
            update_topic=settings.update.topic,
            update_partitions=found.topics[settings.update.topic].partitions,
            input_partitions=found.topics[settings.input.topic].partitions,
            require_live=settings.serving.require_live,
            patience_s=settings.serving.epoch_patience_s,
        )

    while not stopping.requested:
        try:
            return await asyncio.to_thread(look)
        except Transient as trouble:
            log.warning("waiting_to_start", reason=str(trouble))
            await asyncio.sleep(_RETRY_S)
    return None


async def _listen(runner: web.AppRunner, host: str, port: int) -> int:
    if host not in _LOOPBACK:
        log.warning("open_to_the_network", host=host, reason="nothing asks who a client is: put a proxy before it")
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except (OSError, OverflowError) as error:
        raise ConfigError(f"serving.host = {host!r}, serving.port = {port}: {error}") from error
    return int(runner.addresses[0][1])
