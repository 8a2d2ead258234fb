"""Puts the speed layer together from the settings, and runs it."""

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import Protocol, TypedDict, TypeVar

import numpy as np
import structlog
from prometheus_client import CollectorRegistry

from oryx_py.adapters.clock import SystemClock
from oryx_py.adapters.file_systems.reading import open_reading
from oryx_py.adapters.history_records import HistoryRecords
from oryx_py.adapters.kafka import KafkaAdmin, KafkaConsumer, KafkaProducer
from oryx_py.adapters.kafka.membership import KafkaMembership
from oryx_py.adapters.places import history_log, open_checkpoints, open_files, open_registry, open_store, reach_of
from oryx_py.config import Settings
from oryx_py.errors import Transient
from oryx_py.local.endpoint import located, resolve_bootstrap
from oryx_py.model.generations.generation import new_generation_name
from oryx_py.ports import Clock, Consumer, Producer, TopicAdmin
from oryx_py.ports.membership import Membership
from oryx_py.runtime.garbage import settle
from oryx_py.runtime.health import serve_health
from oryx_py.runtime.restored import Together
from oryx_py.runtime.stopping import Stopping
from oryx_py.runtime.topic_watch import TopicWatch
from oryx_py.runtime.topics import identify, partitions_of
from speed_layer.assembly import assemble
from speed_layer.checkpoints.checkpointing import Checkpointing
from speed_layer.checkpoints.forking import forked
from speed_layer.checkpoints.writer import Writer
from speed_layer.group_member import GroupMember, MemberConsumer
from speed_layer.layer import SpeedLayer
from speed_layer.oryx2.assembly import assemble_oryx2
from speed_layer.publishing.outbox import Interrupted
from speed_layer.sharing.claiming import Ownership, Part, claim
from speed_layer.telemetry.metrics import Metrics

__all__ = ["run"]

log = structlog.get_logger("speed")

T = TypeVar("T")

IDLE_S = 0.1
"""Longest wait of one step: how soon a stop or a new epoch is noticed, not how long a record waits."""


class Layer(Protocol):
    """What runs, in either arrangement."""

    def step(self, timeout_s: float) -> None:
        """Do one round; waits up to the timeout for something to do."""
        ...

    def waiting_for(self) -> list[str]:
        """Say what readiness waits for; empty where there is nothing."""
        ...

    def close(self) -> None:
        """Commit what there is to commit, and give everything back."""
        ...


class Ports(TypedDict):
    """What both arrangements are put together from."""

    admin: TopicAdmin
    producer: Producer
    new_consumer: Callable[[str | None], Consumer]
    clock: Clock
    stopping: Callable[[], bool]
    loader: ThreadPoolExecutor
    metrics: Metrics


def run(settings: Settings, stopping: Stopping) -> int:
    """Run the speed layer until it is asked to stop; returns the exit code.

    Raises:
        OryxError: it cannot begin or go on; the message says what to do.
    """
    clock = SystemClock()
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    bootstrap = _patiently(lambda: resolve_bootstrap(settings), clock, stopping)
    if bootstrap is None:
        return 0
    client = settings.kafka.client
    with ThreadPoolExecutor(1, thread_name_prefix="load") as loader, ExitStack() as undo:
        producer = KafkaProducer(bootstrap, client)
        undo.callback(producer.close)
        admin = KafkaAdmin(bootstrap, client)

        def begin() -> Layer:
            ports: Ports = {
                "admin": admin,
                "producer": producer,
                "new_consumer": lambda group: KafkaConsumer(bootstrap, client, group),
                "clock": clock,
                "stopping": lambda: stopping.requested,
                "loader": loader,
                "metrics": metrics,
            }
            if settings.update.dialect == "oryx2":
                return assemble_oryx2(settings, **ports)
            assembled = partial(_assembled, located(settings), ports)
            if not settings.speed.instance:
                return assembled(None)
            membership = KafkaMembership(
                bootstrap,
                client,
                settings.speed.group_id,
                settings.input.topic,
                settings.speed.instance,
                session_s=settings.speed.session_s,
            )
            return _as_member(settings, ports, membership, assembled)

        layer = _patiently(begin, clock, stopping)
        if layer is None:
            return 0
        undo.callback(layer.close)
        host, port = settings.speed.metrics_host, settings.speed.metrics_port
        health = serve_health("speed", host, port, ready=layer.waiting_for, registry=registry)
        undo.callback(health.close)
        watch = None
        if settings.update.dialect == "oryx":
            topic = settings.input.topic
            found = _patiently(lambda: identify(admin, [topic]), clock, stopping)
            if found is None:
                return 0
            watch = TopicWatch(admin, found.topics, clock)
            undo.callback(watch.close)
        settle()
        log.info("speed_started", waiting_for=layer.waiting_for(), registry=settings.registry_uri)
        try:
            while not stopping.requested:
                layer.step(IDLE_S)
                if watch is not None:
                    watch.check()
        except Interrupted:
            log.warning("stopped_before_all_was_acknowledged")
    return 0


def _assembled(here: Settings, ports: Ports, part: Part | None) -> SpeedLayer:
    """Put a layer together, of all input partitions or of a part."""
    reach = reach_of(here)
    interval_s = here.speed.checkpoint_interval_s
    checkpoints = open_checkpoints(here.store_uri, reach) if interval_s else None

    def writer(begun: Mapping[int, Together], ownership: Ownership) -> Writer:
        assert checkpoints is not None
        rng = np.random.default_rng()
        return Checkpointing(
            store=checkpoints,
            update_end=lambda: ports["admin"].end_offsets(here.update.topic),
            items_end=None if part is None else lambda: ports["admin"].end_offsets(here.items.topic),
            partitions=partitions_of(ports["admin"], here.input.topic),
            new_name=lambda now_ms: new_generation_name(now_ms, rng),
            spawn=forked,
            background=ThreadPoolExecutor(1, thread_name_prefix="checkpoint"),
            clock=ports["clock"],
            metrics=ports["metrics"],
            interval_s=interval_s,
            kept=here.speed.checkpoints_kept,
            begun=begun,
            ownership=ownership,
        )

    return assemble(
        here,
        store=open_store(here.store_uri, reach),
        registry=open_registry(here.registry_uri, reach),
        past=_past(here),
        checkpoints=checkpoints,
        writer=writer if interval_s else None,
        part=part,
        **ports,
    )


def _as_member(
    settings: Settings, ports: Ports, membership: Membership, assembled: Callable[[Part], SpeedLayer]
) -> GroupMember:
    """Share the input with whoever else is a member of the group."""
    outsider = partial(ports["new_consumer"], settings.speed.group_id)

    def new_group() -> Consumer:
        return MemberConsumer(outsider(), membership)

    def claimed(partitions: frozenset[int]) -> Ownership:
        return claim(outsider, ports["admin"], settings.items.topic, settings.update.topic, partitions, membership)

    def load(partitions: frozenset[int], ownership: Ownership) -> "Future[SpeedLayer]":
        return ports["loader"].submit(assembled, Part(partitions, ownership, new_group))

    return GroupMember(membership, claimed, load, ports["clock"])


def _past(settings: Settings) -> HistoryRecords:
    """Where the input is that the batch layer has trimmed."""
    uri, reach = settings.history_uri, reach_of(settings)
    files = open_files(uri, "history.uri", reach)
    return HistoryRecords(history_log(uri, reach), settings.input.topic, lambda path: open_reading(files, path))


def _patiently(begin: Callable[[], T], clock: Clock, stopping: Stopping, retry_s: float = 1.0) -> T | None:
    """Begin as soon as broker and store answer; None if asked to stop before."""
    while not stopping.requested:
        try:
            return begin()
        except Transient as trouble:
            log.warning("waiting_to_start", reason=str(trouble))
            clock.sleep(retry_s)
    return None
