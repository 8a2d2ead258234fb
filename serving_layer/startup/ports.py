"""What the layer needs of the world."""

from collections.abc import Callable
from dataclasses import dataclass

from oryx_py.ports import ArtefactStore, Clock, Consumer, Producer, TopicAdmin
from serving_layer.epoch_sources.registry_source import RegistryReader

__all__ = ["Ports"]


@dataclass(frozen=True, slots=True)
class Ports:
    """Kafka, the store, the registry, the time; ``checkpoints`` of the speed layer, None for none."""

    admin: TopicAdmin
    producer: Producer
    new_consumer: Callable[[], Consumer]
    store: ArtefactStore
    registry: RegistryReader
    clock: Clock
    checkpoints: ArtefactStore | None = None
