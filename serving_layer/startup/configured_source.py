"""Which source of epochs the settings ask for."""

from collections.abc import Callable

from oryx_py.adapters.generation_stores.oryx2_files import model_opener
from oryx_py.config import Settings
from oryx_py.ports import ArtefactStore, Clock, Consumer, TopicAdmin
from oryx_py.runtime.checkpoints import Checkpoints
from oryx_py.runtime.oryx2_log import Oryx2Log
from serving_layer.epoch_sources.epoch_source import EpochSource
from serving_layer.epoch_sources.oryx2_source import Oryx2Source
from serving_layer.epoch_sources.registry_source import RegistryReader, RegistrySource
from serving_layer.following.follow_settings import FollowSettings

__all__ = ["open_source"]


def open_source(
    settings: Settings,
    follow: FollowSettings,
    *,
    registry: RegistryReader,
    store: ArtefactStore,
    admin: TopicAdmin,
    new_consumer: Callable[[], Consumer],
    clock: Clock,
    checkpoints: ArtefactStore | None = None,
) -> EpochSource:
    """Return the registry's epochs, or those of an Oryx 2 batch layer where ``update.dialect`` says that it publishes.

    Args:
        settings: all of them.
        follow: what is followed.
        registry, store, admin, new_consumer, clock: the world.
        checkpoints: of the speed layer; None for none.
    """
    if settings.update.dialect == "oryx2":
        return Oryx2Source(
            log=Oryx2Log(follow.update_topic, admin, new_consumer, clock),
            open_model=model_opener(settings.hdfs.webhdfs_url),
            update_partitions=follow.update_partitions,
            fraction=settings.serving.min_model_load_fraction,
            patience_s=follow.patience_s,
        )
    partitions = range(follow.input_partitions)
    return RegistrySource(
        registry=registry,
        store=store,
        admin=admin,
        new_consumer=new_consumer,
        clock=clock,
        topic=follow.update_topic,
        update_partitions=follow.update_partitions,
        partitions=partitions,
        require_live=follow.require_live,
        checkpoints=None if checkpoints is None else Checkpoints(checkpoints, store, partitions),
    )
