"""Whether the topics are still those that the stored offsets belong to."""

from collections.abc import Iterable, Mapping

from oryx_py.errors import LogGap, TopicsChanged
from oryx_py.model.epochs.registry import TopicIdentity, TopicsIdentity
from oryx_py.ports import TopicAdmin

__all__ = ["check_end", "check_identity", "difference", "identify", "partitions_of"]

MIGRATION = (
    "its users are elsewhere now, and Kafka takes no partitions back: stop the layers, and go over to new topics with "
    "`oryx history export`, `oryx setup` and `oryx history import` (docs/operations.md, More partitions)"
)
REMEDY = (
    "bring the old topics back, or take the history over to new ones, so that nothing is lost of what it has "
    "(docs/operations.md, When Kafka is lost)"
)


def identify(admin: TopicAdmin, topics: Iterable[str]) -> TopicsIdentity:
    """Look up the identities of the cluster and of these topics.

    Raises:
        TopicsChanged: a topic does not exist.
        BrokerUnavailable: no answer in time.
    """
    return TopicsIdentity(
        cluster_id=admin.cluster_id(),
        topics={topic: TopicIdentity(admin.topic_id(topic), partitions_of(admin, topic)) for topic in topics},
    )


def check_identity(recorded: TopicsIdentity | None, found: TopicsIdentity) -> None:
    """Refuse topics that are not the recorded ones: their offsets mean something else.

    Args:
        recorded: as the registry has it; None where nothing is recorded yet, which is no fault.
        found: as the broker has it now.

    Raises:
        TopicsChanged: another cluster, a topic created anew, or another number of partitions.
    """
    if recorded is None:
        return
    if recorded.cluster_id != found.cluster_id:
        raise TopicsChanged(f"this is cluster {found.cluster_id}, the store belongs to {recorded.cluster_id}: {REMEDY}")
    for topic, now in found.topics.items():
        before = recorded.topics.get(topic)
        if before is not None and (trouble := difference(topic, before, now)):
            raise TopicsChanged(trouble)


def difference(topic: str, before: TopicIdentity, now: TopicIdentity) -> str | None:
    """Say that a topic has another number of partitions, or is another, and what to do; None where it is the same."""
    if before.partitions != now.partitions:
        return f"topic {topic} has {now.partitions} partitions, it had {before.partitions}: {MIGRATION}"
    if before.id != now.id:
        return f"topic {topic} was created anew since the store was begun: {REMEDY}"
    return None


def check_end(topic: str, end: Mapping[int, int], *reached: Mapping[int, int]) -> None:
    """Refuse a log that ends before what somebody has of it: records were lost, or the offsets are of another log.

    Args:
        topic: its name.
        end: by partition, where it ends.
        reached: by partition, offsets that were covered or announced; a partition that the topic lacks is ignored.

    Raises:
        LogGap: it ends before one of them.
    """
    for partition, offset in ((p, o) for offsets in reached for p, o in offsets.items()):
        if partition in end and end[partition] < offset:
            raise LogGap(
                f"partition {partition} of {topic} ends at {end[partition]}, before {offset}, "
                f"up to which it was read: {REMEDY}"
            )


def partitions_of(admin: TopicAdmin, topic: str) -> int:
    """Return a topic's number of partitions.

    Raises:
        TopicsChanged: there is no such topic.
    """
    partitions = admin.partitions(topic)
    if partitions is None:
        raise TopicsChanged(f"there is no topic {topic}: create it with `oryx setup`")
    return partitions
