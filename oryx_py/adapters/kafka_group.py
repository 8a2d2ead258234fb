"""Where a consumer group keeps its positions on Kafka."""

import time
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Final

from confluent_kafka import Consumer as Client
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from oryx_py.adapters.kafka_client import translate, until_answered
from oryx_py.errors import BrokerUnavailable
from oryx_py.ports import Partition

__all__ = ["GroupPositions"]

_POLL_S: Final = 0.02
_GONE: Final = {"auto.offset.reset": "error", "enable.auto.commit": False}


class GroupPositions:
    """Positions under a group's name, through a client of its own that reads nothing.

    Seen with librdkafka 2.16: a consumer's synchronous commit can hang for ever when the broker dies in the middle of
    it (one kill -9 in ten); an admin client's request for a group's offsets ends the process by a segmentation fault
    while the coordinator loads, as on a broker's first start. An asynchronous commit with a deadline has neither fault.
    """

    def __init__(self, configuration: Mapping[str, Any], group_id: str, *, timeout_s: float) -> None:
        self._group_id = group_id
        self._timeout_s = timeout_s
        self._outcomes: deque[tuple[KafkaError | None, list[TopicPartition]]] = deque()
        try:
            self._client = Client({**configuration, **_GONE, "group.id": group_id, "on_commit": self._on_commit})
        except (KafkaException, ValueError) as error:
            raise translate(error, "starting a Kafka consumer") from error

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """Store positions; see the port ``Consumer``."""
        wanted = [TopicPartition(topic, partition, offset) for (topic, partition), offset in positions.items()]
        if wanted:
            doing = f"storing positions of group {self._group_id}"
            until_answered(
                lambda within_s: self._commit(wanted, within_s, doing), doing=doing, timeout_s=self._timeout_s
            )

    def committed(self, partitions: Iterable[Partition]) -> dict[Partition, int | None]:
        """Positions that were stored; see the port ``Consumer``."""
        wanted = [TopicPartition(topic, partition) for topic, partition in partitions]
        if not wanted:
            return {}
        found = until_answered(
            lambda within_s: self._checked(self._client.committed(wanted, timeout=within_s)),
            doing=f"reading positions of group {self._group_id}",
            timeout_s=self._timeout_s,
        )
        return {(entry.topic, entry.partition): entry.offset if entry.offset >= 0 else None for entry in found}

    def close(self) -> None:
        """Free the client."""
        self._client.close()

    def _commit(self, wanted: list[TopicPartition], within_s: float, doing: str) -> None:
        self._outcomes.clear()
        self._client.commit(offsets=wanted, asynchronous=True)
        deadline = time.monotonic() + within_s
        while not self._outcomes:
            if time.monotonic() >= deadline:
                raise BrokerUnavailable(f"{doing}: no answer in {within_s:.0f} s")
            self._client.poll(_POLL_S)
        error, found = self._outcomes.popleft()
        if error is not None:
            raise KafkaException(error)
        self._checked(found)

    def _on_commit(self, error: KafkaError | None, found: list[TopicPartition]) -> None:
        self._outcomes.append((error, found))

    @staticmethod
    def _checked(found: list[TopicPartition]) -> list[TopicPartition]:
        for entry in found:
            if entry.error is not None:
                raise KafkaException(entry.error)
        return found
