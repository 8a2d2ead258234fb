"""Puts the speed layer together for the models of an Oryx 2 batch layer."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack

from oryx_py.adapters.generation_stores.oryx2_files import model_opener
from oryx_py.config import Settings
from oryx_py.ports import Clock, Consumer, Producer, TopicAdmin
from oryx_py.runtime.oryx2_log import Oryx2Log
from oryx_py.runtime.topics import partitions_of
from speed_layer.limits import Limits, Topics
from speed_layer.oryx2.layer import Oryx2SpeedLayer
from speed_layer.oryx2.model import Loading, Oryx2Model
from speed_layer.oryx2.model_manager import Oryx2ModelManager
from speed_layer.publishing.outbox import Outbox
from speed_layer.telemetry.metrics import Metrics

__all__ = ["assemble_oryx2"]


def assemble_oryx2(
    settings: Settings,
    *,
    admin: TopicAdmin,
    producer: Producer,
    new_consumer: Callable[[str | None], Consumer],
    clock: Clock,
    stopping: Callable[[], bool],
    loader: ThreadPoolExecutor,
    metrics: Metrics,
) -> Oryx2SpeedLayer:
    """Build the layer: neither store nor registry, since there are no generations.

    Args:
        settings: all of them.
        admin, producer, clock: the ports.
        new_consumer: makes a consumer whose commits go to this group, or nowhere.
        stopping: whether the process is asked to stop.
        loader: where models are loaded.
        metrics: what is counted.

    Raises:
        Transient: the broker does not answer.
        Stop: somebody has to act.
    """
    topics = Topics(
        input=settings.input.topic,
        input_partitions=partitions_of(admin, settings.input.topic),
        update=settings.update.topic,
        update_partitions=partitions_of(admin, settings.update.topic),
        max_record_bytes=settings.input.max_record_bytes,
    )
    updates = Oryx2Log(topics.update, admin, lambda: new_consumer(None), clock)
    open_model = model_opener(settings.hdfs.webhdfs_url)
    fraction = settings.serving.min_model_load_fraction

    def load(loading: Loading) -> "Future[Oryx2Model | None]":
        return loader.submit(loading.run, updates, open_model, fraction)

    with ExitStack() as undo:
        interactions = new_consumer(settings.speed.group_id)
        undo.callback(interactions.close)
        layer = Oryx2SpeedLayer(
            topics=topics,
            limits=Limits(max_batch_records=settings.speed.max_batch_records),
            dead_letter_topic=settings.dead_letter_topic,
            models=Oryx2ModelManager(updates, topics.update_partitions, load, clock),
            interactions=interactions,
            admin=admin,
            outbox=Outbox(producer, stopping),
            clock=clock,
            metrics=metrics,
        )
        undo.pop_all()  # from here on the layer closes what it has
    return layer
