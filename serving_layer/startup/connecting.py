"""From a layer that listens to one that follows the topics and takes writes, as soon as Kafka answers."""

import asyncio
from contextlib import suppress

import structlog

from oryx_py.adapters.async_producer import AsyncProducer
from oryx_py.config import Settings
from oryx_py.errors import OryxError, Transient
from oryx_py.messages.partitions import homes_of
from oryx_py.model.epochs.registry import TopicIdentity
from oryx_py.runtime.topic_watch import LOOK_S, changed_topic
from oryx_py.runtime.topics import check_identity, identify
from serving_layer.following.follow_settings import FollowSettings
from serving_layer.following.model_manager import ModelManager
from serving_layer.metrics import Metrics
from serving_layer.producing.pinned_sender import PinnedSender
from serving_layer.startup.configured_source import open_source
from serving_layer.startup.kafka_pending import Awaited
from serving_layer.startup.ports import Ports

__all__ = ["connect"]

log = structlog.get_logger("serving")

_RETRY_S = 1.0


async def connect(settings: Settings, ports: Ports, awaited: Awaited, metrics: Metrics) -> None:
    """Follow the topics and take writes, as soon as Kafka answers and the topics are those of the store.

    Goes on to look whether they stay so: another count of partitions would put users where nobody has their histories,
    and what another topic of the name is sent lies at offsets that have been read.
    """
    follow, input_topic = await _follow_settings(settings, ports, awaited)
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
        with suppress(OryxError):  # without an answer, what was found before holds
            pinned.trouble = awaited.models.trouble = await asyncio.to_thread(
                changed_topic, ports.admin, {topic: input_topic}
            )
        await asyncio.sleep(LOOK_S)


async def _follow_settings(settings: Settings, ports: Ports, awaited: Awaited) -> tuple[FollowSettings, TopicIdentity]:
    """Look at the topics, as soon as the broker answers; return what is followed, and what the input topic is."""

    def look() -> tuple[FollowSettings, TopicIdentity]:
        found = identify(ports.admin, [settings.input.topic, settings.update.topic])
        if settings.update.dialect == "oryx":  # else the registry, if there is one, is of other topics
            check_identity(ports.registry.read().topics, found)
        follow = FollowSettings(
            update_topic=settings.update.topic,
            update_partitions=found.topics[settings.update.topic].partitions,
            input_partitions=found.topics[settings.input.topic].partitions,
            require_live=settings.serving.require_live,
            patience_s=settings.serving.epoch_patience_s,
        )
        return follow, found.topics[settings.input.topic]

    while True:
        try:
            return await asyncio.to_thread(look)
        except Transient as trouble:
            log.warning("waiting_to_start", reason=str(trouble))
            awaited.models.reason = f"waiting for Kafka and the store: {trouble}"
            await asyncio.sleep(_RETRY_S)
