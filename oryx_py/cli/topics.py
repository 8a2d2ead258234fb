"""The topics that the settings describe."""

from oryx_py.adapters.kafka.setup_topics import topic_specs
from oryx_py.config import Settings
from oryx_py.ports import TopicSpec

__all__ = ["specs_of"]


def specs_of(settings: Settings, replication: int | None = None) -> list[TopicSpec]:
    """Return what the topics should be; ``replication`` None for ``kafka.replication``."""
    return topic_specs(
        input_topic=settings.input.topic,
        update_topic=settings.update.topic,
        items_topic=settings.items.topic,
        dead_letter_topic=settings.dead_letter_topic,
        input_partitions=settings.input_partitions,
        update_partitions=settings.update.partitions,
        replication=replication or settings.kafka.replication,
        max_record_bytes=settings.input.max_record_bytes,
    )
