"""The project's topics: what they should be, and whether they are."""

from collections.abc import Sequence
from typing import Final

from oryx_py.adapters.kafka.producer import BATCH_BYTES
from oryx_py.errors import TopicsChanged
from oryx_py.ports import TopicAdmin, TopicSpec

__all__ = ["ensure_topics", "topic_specs"]

_SAFE_REPLICATION: Final = 3
_AROUND_A_RECORD_BYTES: Final = 65_536
"""Room for key, headers and Kafka's own framing beside the largest value."""

_AT_LEAST: Final = frozenset({"max.message.bytes", "min.insync.replicas"})
"""Settings where more than was asked for is as good."""


def topic_specs(
    *,
    input_topic: str,
    update_topic: str,
    items_topic: str,
    dead_letter_topic: str,
    input_partitions: int,
    update_partitions: int,
    replication: int,
    max_record_bytes: int,
) -> list[TopicSpec]:
    """Return the four topics as they should be.

    Items have the input's partitions, dead letters one. With three replicas or more, two must have a record before it
    counts as acknowledged, and a replica that lacks records never becomes the leader.

    Args:
        input_topic, update_topic, items_topic, dead_letter_topic: names.
        input_partitions, update_partitions: counts, which can't be changed later.
        replication: replicas of each partition.
        max_record_bytes: the largest value of a record.
    """
    config = {
        # Nothing expires by itself: the batch layer trims what the history has.
        "cleanup.policy": "delete",
        "retention.ms": "-1",
        "retention.bytes": "-1",
        # The broker's clock: no client with a wrong one is refused, or shifts a record in time.
        "message.timestamp.type": "LogAppendTime",
        # Kafka means a producer's whole batch.
        "max.message.bytes": str(max(max_record_bytes, BATCH_BYTES) + _AROUND_A_RECORD_BYTES),
    }
    if replication >= _SAFE_REPLICATION:
        config |= {"min.insync.replicas": "2", "unclean.leader.election.enable": "false"}
    partitions = {
        input_topic: input_partitions,
        update_topic: update_partitions,
        items_topic: input_partitions,
        dead_letter_topic: 1,
    }
    return [TopicSpec(name, count, replication, config) for name, count in partitions.items()]


def ensure_topics(admin: TopicAdmin, specs: Sequence[TopicSpec], *, create: bool) -> list[str]:
    """Create the topics that are missing (if ``create``) and look whether each is as it should be.

    Existing topics are never changed. Returns a line for each thing amiss, with what to do; none if all is well.

    Raises:
        TopicsChanged: a topic has another count of partitions; state built with one does not fit the other.
        BrokerUnavailable, ConfigError: as the port says.
    """
    counts = {spec.name: admin.partitions(spec.name) for spec in specs}
    missing = [spec for spec in specs if counts[spec.name] is None]
    wrong = [
        f"{spec.name} has {counts[spec.name]} partitions, not {spec.partitions}"
        for spec in specs
        if counts[spec.name] not in (None, spec.partitions)
    ]
    if wrong:
        raise TopicsChanged(f"{'; '.join(wrong)}: set these counts in oryx.toml, or choose names of new topics")
    if not create:
        absent = {spec.name for spec in missing}
        return [
            *(f"{name} is missing: run `oryx setup`" for name in sorted(absent)),
            *(finding for spec in specs if spec.name not in absent for finding in _config_findings(admin, spec)),
        ]
    for spec in missing:
        admin.create(spec)
    return [finding for spec in specs for finding in _config_findings(admin, spec)]


def _config_findings(admin: TopicAdmin, spec: TopicSpec) -> list[str]:
    actual = admin.config(spec.name)
    return [
        f"{spec.name}: {name} is {actual.get(name, 'not set')}, should be {wanted}: run Kafka's "
        f"`kafka-configs.sh --alter --topic {spec.name} --add-config {name}={wanted}`"
        for name, wanted in spec.config.items()
        if not _fits(name, actual.get(name), wanted)
    ]


def _fits(name: str, actual: str | None, wanted: str) -> bool:
    if actual is not None and name in _AT_LEAST:
        return int(actual) >= int(wanted)
    return actual == wanted
