"""Topics on Kafka: looking at them, creating them, trimming them."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, OffsetSpec, ResourceType, TopicDescription

from oryx_py.adapters.kafka.client import ANSWER_S, Refusals, configuration, translate, until_answered
from oryx_py.errors import BrokerUnavailable, TopicsChanged
from oryx_py.ports import TopicSpec

__all__ = ["KafkaAdmin"]

K = TypeVar("K")
V = TypeVar("V")

_RETRY_S: Final = 0.05


class KafkaAdmin:
    """Asks Kafka about topics; see the port ``TopicAdmin``. Each call waits ``timeout_s`` for its answer at most.

    ``client`` has librdkafka's properties.

    Raises:
        ConfigError: from the constructor, for a property that is unknown.
    """

    def __init__(self, bootstrap_servers: str, client: Mapping[str, str], *, timeout_s: float = ANSWER_S) -> None:
        self._timeout_s = timeout_s
        self._refusals = Refusals()
        merged: dict[str, Any] = configuration(bootstrap_servers, client, tuned={}, fixed={})
        try:
            self._client = AdminClient(merged | {"error_cb": self._refusals})
        except (KafkaException, ValueError) as error:
            raise translate(error, "starting a Kafka admin client") from error

    def partitions(self, topic: str) -> int | None:
        """Count of the topic's partitions, None if there is no such topic."""
        try:
            return len(self._describe(topic).partitions)
        except TopicsChanged:
            return None

    def create(self, spec: TopicSpec) -> None:
        """Create the topic and wait until every partition has a leader; see the port."""
        new = NewTopic(spec.name, spec.partitions, spec.replication, config=dict(spec.config))

        def create(**within: float) -> dict[str, Future[None]]:
            created = self._client.create_topics([new], **within)
            return {} if _exists(created[spec.name]) else created

        self._ask(f"creating topic {spec.name}", create)
        deadline = time.monotonic() + self._timeout_s
        while not self._has_leaders(spec.name):
            if time.monotonic() >= deadline:
                raise BrokerUnavailable(f"topic {spec.name} has no leaders {self._timeout_s:g} s after its creation")
            time.sleep(_RETRY_S)

    def start_offsets(self, topic: str) -> dict[int, int]:
        """The first offset still in the log, by partition."""
        return self._offsets(topic, OffsetSpec.earliest())  # type: ignore[no-untyped-call]  # theirs

    def end_offsets(self, topic: str) -> dict[int, int]:
        """The offset that a reader of committed records reaches, by partition."""
        return self._offsets(topic, OffsetSpec.latest())  # type: ignore[no-untyped-call]  # theirs

    def offsets_at(self, topic: str, timestamp_ms: int) -> dict[int, int]:
        """Offset of the first record of at least this timestamp, by partition; the end where there is none."""
        ends = self.end_offsets(topic)
        found = self._offsets(topic, OffsetSpec.for_timestamp(timestamp_ms))
        return {partition: found[partition] if found[partition] >= 0 else end for partition, end in ends.items()}

    def trim(self, topic: str, before: Mapping[int, int]) -> None:
        """Delete the records below these offsets, by partition; see the port."""
        ends = self.end_offsets(topic)
        unknown = sorted(before.keys() - ends.keys())
        if unknown:
            raise TopicsChanged(f"topic {topic} has no partition {unknown[0]}: it has {len(ends)}")
        # Never -1, "up to the high watermark": that is as of when the broker gets to it, and it counts what came since
        # and what open transactions have, both of which nobody has read.
        wanted = [
            TopicPartition(topic, partition, min(offset, ends[partition])) for partition, offset in before.items()
        ]
        if wanted:
            self._ask(f"trimming {topic}", lambda **within: self._client.delete_records(wanted, **within))

    def cluster_id(self) -> str:
        """The cluster's own name for itself."""
        found = self._ask("asking for the cluster", lambda **within: {"": self._client.describe_cluster(**within)})
        return str(found[""].cluster_id)

    def topic_id(self, topic: str) -> str:
        """The topic's identity, as Kafka prints it."""
        return str(self._describe(topic).topic_id)

    def config(self, topic: str) -> dict[str, str]:
        """The topic's settings as they are in force, defaults included; secret ones are left out."""
        resource = ConfigResource(ResourceType.TOPIC, topic)
        found = self._ask(
            f"reading the settings of {topic}", lambda **within: self._client.describe_configs([resource], **within)
        )
        return {name: entry.value for name, entry in found[resource].items() if entry.value is not None}

    def _describe(self, topic: str) -> TopicDescription:
        wanted = TopicCollection([topic])
        found: dict[str, TopicDescription] = self._ask(
            f"looking for {topic}", lambda **within: self._client.describe_topics(wanted, **within)
        )
        return found[topic]

    def _has_leaders(self, topic: str) -> bool:
        try:
            return all(partition.leader is not None for partition in self._describe(topic).partitions)
        except TopicsChanged:  # the broker that was asked has not heard of it yet
            return False

    def _offsets(self, topic: str, which: OffsetSpec) -> dict[int, int]:
        wanted = {TopicPartition(topic, partition.id): which for partition in self._describe(topic).partitions}
        found = self._ask(
            f"asking for offsets of {topic}",
            lambda **within: self._client.list_offsets(wanted, isolation_level=IsolationLevel.READ_COMMITTED, **within),
        )
        return {where.partition: answer.offset for where, answer in sorted(found.items(), key=lambda pair: pair[0])}

    def _ask(self, doing: str, request: Callable[..., Mapping[K, Future[V]]]) -> dict[K, V]:
        def answers(within_s: float) -> dict[K, V]:
            try:
                return {key: future.result() for key, future in request(request_timeout=within_s).items()}
            finally:
                self._client.poll(0)  # hands on librdkafka's log lines, and what it was refused for

        try:
            return until_answered(answers, doing=doing, timeout_s=self._timeout_s, refusals=self._refusals)
        except BrokerUnavailable as away:
            raise BrokerUnavailable(
                f"{away}; no answer: see that Kafka runs at kafka.bootstrap_servers, and that kafka.client is right"
            ) from away


def _exists(created: Future[None]) -> bool:
    """Whether the topic is there already: somebody else was faster, or an answer to an earlier attempt was lost."""
    error = created.exception()
    return isinstance(error, KafkaException) and error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS
