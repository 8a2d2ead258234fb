"""Membership of a consumer group on Kafka: who owns which partitions, and nothing else.

The client reads nothing: its partitions are paused as soon as they are given. It is a static member (KIP-345): who
comes back under its name within the session keeps its partitions, and nobody else is disturbed. Partitions move one by
one (cooperative rebalancing, KIP-429): a member that has to give one up keeps the others.

librdkafka tells of changes from within its own ``poll``, and takes the partitions away when that call-back returns.
A commit polls, too, so that a partition may be gone in the middle of a step; the fence is for that.
"""

import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

from confluent_kafka import Consumer as Client
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from oryx_py.adapters.kafka.client import ANSWER_S, LOG, configuration, refuses_us, translate, until_answered
from oryx_py.errors import BrokerUnavailable, ConfigError, OryxError
from oryx_py.ports import Partition
from oryx_py.ports.membership import Changes

__all__ = ["KafkaMembership"]

_POLL_S: Final = 0.01
_REPLACED: Final = frozenset({KafkaError._FATAL, KafkaError._FENCED, KafkaError.FENCED_INSTANCE_ID})
_MOVING: Final = frozenset({
    KafkaError.FENCED_INSTANCE_ID,
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.REBALANCE_IN_PROGRESS,
    KafkaError.UNKNOWN_MEMBER_ID,
})  # fmt: skip


class KafkaMembership:
    """A member on Kafka; see the port ``Membership``.

    Args:
        bootstrap_servers, client: as everywhere; ``client`` has librdkafka's properties.
        group_id: of the group.
        topic: whose partitions are shared.
        name: of the member; nobody else may have it.
        session_s: after so long without a word the group gives its partitions to others.
        timeout_s: how long ``commit`` and ``committed`` wait for their answer.

    Raises:
        ConfigError: a property is unknown or may not be changed.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        client: Mapping[str, str],
        group_id: str,
        topic: str,
        name: str,
        *,
        session_s: float,
        timeout_s: float = ANSWER_S,
    ) -> None:
        session_ms = round(session_s * 1000)
        fixed: dict[str, Any] = {
            "group.id": group_id,
            "group.instance.id": name,
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": session_ms,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
        }
        tuned = {
            "heartbeat.interval.ms": min(3_000, max(100, session_ms // 10)),
            # A step is as long as a broker that does not acknowledge is away, or a replay is solved: who took that for
            # death would have every process load everything anew. The session, which a thread of librdkafka's own
            # keeps up, is what ends a process that has died.
            "max.poll.interval.ms": max(3_600_000, session_ms),
        }
        merged = configuration(bootstrap_servers, client, tuned=tuned, fixed=fixed)
        self._name, self._topic, self._group_id, self._timeout_s = name, topic, group_id, timeout_s
        self._gained: set[int] = set()
        self._lost: set[int] = set()
        self._storing: dict[Partition, int] = {}
        self._outcome: list[KafkaError | None] = []
        """Of what is being stored: nothing, or how it ended."""
        try:
            self._client: Client | None = Client({**merged, "on_commit": self._on_commit})
            self._client.subscribe([topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked)
        except (KafkaException, ValueError) as error:
            raise translate(error, f"joining group {group_id}") from error

    def poll(self) -> Changes:
        """Return at once with what has changed; see the port."""
        assert self._client is not None
        try:
            event = self._client.poll(0)
        except KafkaException as error:
            raise self._translated(error.args[0]) from error
        trouble = None if event is None else event.error()
        if trouble is not None:
            if trouble.fatal() or trouble.code() in _REPLACED or refuses_us(trouble):
                raise self._translated(trouble)
            LOG.warning("group %s: %s", self._group_id, trouble.str())
        changes = Changes(frozenset(self._gained), frozenset(self._lost))
        self._gained, self._lost = set(), set()
        return changes

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """Store positions as this member; see the port."""
        wanted = [TopicPartition(topic, partition, offset) for (topic, partition), offset in positions.items()]
        client = self._client
        assert client is not None
        self._storing, self._outcome = dict(positions), []
        deadline = time.monotonic() + self._timeout_s
        try:
            client.commit(offsets=wanted, asynchronous=True)
            while not self._outcome:
                if time.monotonic() >= deadline:
                    raise BrokerUnavailable(f"storing positions of group {self._group_id}: no answer")
                client.poll(_POLL_S)
        except KafkaException as error:
            raise self._translated(error.args[0]) from error
        if self._outcome[0] is not None:
            raise self._translated(self._outcome[0])

    def committed(self, partitions: Iterable[Partition]) -> dict[Partition, int | None]:
        """Positions that were stored; see the port."""
        wanted = [TopicPartition(topic, partition) for topic, partition in partitions]
        client = self._client
        assert client is not None

        def ask(within_s: float) -> list[TopicPartition]:
            found = client.committed(wanted, timeout=within_s)
            for entry in found:
                if entry.error is not None:
                    raise KafkaException(entry.error)
            return found

        doing = f"reading positions of group {self._group_id}"
        found = until_answered(ask, doing=doing, timeout_s=self._timeout_s) if wanted else []
        return {(entry.topic, entry.partition): entry.offset if entry.offset >= 0 else None for entry in found}

    def close(self) -> None:
        """Free the client without leaving the group: what was given stays this name's until the session ends."""
        self._client = None

    def _assigned(self, client: Client, partitions: list[TopicPartition]) -> None:
        client.incremental_assign(partitions)
        client.pause(partitions)
        new = {entry.partition for entry in partitions if entry.topic == self._topic}
        self._gained |= new

    def _revoked(self, client: Client, partitions: list[TopicPartition]) -> None:
        gone = {entry.partition for entry in partitions}
        # What came and went between two polls was never anybody's to let go of, but may have been before.
        self._gained -= gone
        self._lost |= gone
        client.incremental_unassign(partitions)

    def _on_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        # What was given up is answered yet, perhaps while something else is being stored.
        if partitions and {(entry.topic, entry.partition): entry.offset for entry in partitions} != self._storing:
            return
        errors = (entry.error for entry in partitions if entry.error is not None)
        self._outcome.append(error or next(errors, None))

    def _translated(self, error: KafkaError) -> OryxError:
        if error.fatal() or error.code() in {KafkaError._FATAL, KafkaError._FENCED}:
            return ConfigError(
                f"group {self._group_id}: {error.str()}; if another process has speed.instance = {self._name!r} "
                "as well, give each a name of its own"
            )
        if error.code() in _MOVING:
            return BrokerUnavailable(f"group {self._group_id}: {error.str()}; partitions are on their way")
        return translate(error, f"as a member of group {self._group_id}")
