"""Where a consumer group keeps its positions on Kafka."""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar

from confluent_kafka import Consumer as Client
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from oryx_py.adapters.kafka.client import Refusals, refuses_us, translate, until_answered
from oryx_py.ports import Partition

__all__ = ["GroupPositions"]

V = TypeVar("V")

_POLL_S: Final = 0.01


class GroupPositions:
    """Positions under a group's name, through a client of its own that reads nothing.

    Of librdkafka's three ways to store a position only this one has an end when the broker dies just then: the
    consumer's synchronous commit waits until the broker is back, and the admin client's request for groups sometimes
    fails an assertion, which ends the process (librdkafka issue 4605). So: commit asynchronously, wait ``timeout_s``
    for the callback, and drop the client if it did not come, lest that commit be done after a later one.
    """

    def __init__(self, configuration: Mapping[str, Any], group_id: str, *, timeout_s: float) -> None:
        self._refusals = Refusals()
        self._configuration = {
            **configuration,
            "error_cb": self._refusals,
            "group.id": group_id,
            "enable.auto.commit": False,
            "session.timeout.ms": round(
                timeout_s * 1000
            ),  # no session is held; it is how long a commit looks for Kafka
            "on_commit": self._on_commit,
        }
        self._group_id = group_id
        self._timeout_s = timeout_s
        self._client: Client | None = None
        self._outcome: list[KafkaError | None] = []

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """Store positions; see the port ``Consumer``."""
        wanted = [TopicPartition(topic, partition, offset) for (topic, partition), offset in positions.items()]
        if wanted:
            doing = f"storing positions of group {self._group_id}"
            self._until_answered(lambda within_s: self._commit(wanted, within_s), doing)

    def committed(self, partitions: Iterable[Partition]) -> dict[Partition, int | None]:
        """Positions that were stored; see the port ``Consumer``."""
        wanted = [TopicPartition(topic, partition) for topic, partition in partitions]
        if not wanted:
            return {}
        doing = f"reading positions of group {self._group_id}"
        found = self._until_answered(lambda within_s: self._committed(wanted, within_s), doing)
        return {(entry.topic, entry.partition): entry.offset if entry.offset >= 0 else None for entry in found}

    def close(self) -> None:
        """Free the client, waiting for nothing."""
        self._client = None

    def _until_answered(self, call: Callable[[float], V], doing: str) -> V:
        return until_answered(call, doing=doing, timeout_s=self._timeout_s, refusals=self._refusals)

    def _commit(self, wanted: list[TopicPartition], within_s: float) -> None:
        client = self._started()
        deadline = time.monotonic() + within_s
        self._outcome.clear()
        client.commit(offsets=wanted, asynchronous=True)
        while not self._outcome:
            event = client.poll(_POLL_S)
            refusal = None if event is None else event.error()  # of looking for the group's coordinator
            if refusal is not None and not refuses_us(refusal):
                refusal = None
            if refusal is not None or time.monotonic() >= deadline:
                self._client = None
                del client  # the last reference, else the error's traceback would keep it, and its commit, alive
                raise KafkaException(refusal or KafkaError(KafkaError._TIMED_OUT))
        if self._outcome[0] is not None:
            raise KafkaException(self._outcome[0])

    def _on_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        errors = (entry.error for entry in partitions if entry.error is not None)
        self._outcome.append(error or next(errors, None))

    def _committed(self, wanted: list[TopicPartition], within_s: float) -> list[TopicPartition]:
        client = self._started()
        try:
            found = client.committed(wanted, timeout=within_s)
        finally:
            client.poll(0)  # hands on librdkafka's log lines, and what it was refused for
        for entry in found:
            if entry.error is not None:
                raise KafkaException(entry.error)
        return found

    def _started(self) -> Client:
        if self._client is None:
            try:
                self._client = Client(self._configuration)
            except (KafkaException, ValueError) as error:
                raise translate(error, "starting a Kafka consumer") from error
        return self._client
