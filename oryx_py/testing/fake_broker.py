"""What the fake log keeps: topics, records, groups' positions, and the faults that a test asks for."""

import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from oryx_py.adapters.clock import SystemClock
from oryx_py.errors import BrokerUnavailable, ConfigError, OryxError, RecordTooLarge, TopicsChanged
from oryx_py.messages.partition import murmur2
from oryx_py.ports import Clock, Outgoing, Partition, Record, TopicSpec

__all__ = ["FakeLog"]

_DEFAULTS = {
    "cleanup.policy": "delete",
    "max.message.bytes": "1048588",
    "message.timestamp.type": "CreateTime",
    "retention.bytes": "-1",
    "retention.ms": "604800000",
}


@dataclass
class PartitionLog:
    """The records of one partition; offsets below ``start`` are trimmed, those without a record are markers'."""

    start: int = 0
    end: int = 0
    records: list[Record] = field(default_factory=list)
    open: set[int] = field(default_factory=set)
    """First offsets of the transactions that are open."""

    @property
    def stable(self) -> int:
        """Where readers end: the first record of an open transaction, or the end."""
        return min(self.open, default=self.end)


@dataclass
class Topic:
    """A topic under one identity."""

    id: str
    config: dict[str, str]
    partitions: list[PartitionLog]


class FakeLog:
    """A broker in memory; any number of fake producers, consumers and admins of any thread share it.

    Timestamps are the clock's, whatever ``message.timestamp.type`` says. ``changed`` guards everything and is notified
    whenever there is something new to see.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self.changed = threading.Condition()
        self.cluster_id = uuid.uuid4().hex
        self.topics: dict[str, Topic] = {}
        self.groups: dict[str, dict[Partition, int]] = {}
        self.down = False
        self._clock = clock or SystemClock()
        self._failures: list[OryxError] = []
        self._withheld = 0
        self._unkeyed = 0

    def create(self, spec: TopicSpec) -> None:
        """Create a topic unless it exists.

        Raises:
            ConfigError: the spec makes no topic.
        """
        with self.changed:
            if spec.name in self.topics:
                return
            if spec.partitions < 1 or spec.replication != 1 or not spec.name or set(spec.name) & set(" /:"):
                raise ConfigError(f"creating topic {spec.name}: no topic of one broker can be {spec}")
            logs = [PartitionLog() for _ in range(spec.partitions)]
            self.topics[spec.name] = Topic(uuid.uuid4().hex, {**_DEFAULTS, **spec.config}, logs)
            self.changed.notify_all()

    def append(self, outgoing: Outgoing) -> tuple[int, int]:
        """Store a record now; returns its partition and offset.

        Raises:
            OryxError: the failure that a test asked for, or what a broker would refuse.
        """
        with self.changed:
            place = self.store(outgoing)
            self.changed.notify_all()
        return place

    def store(self, outgoing: Outgoing) -> tuple[int, int]:
        """Do as `append`, for who holds ``changed`` and notifies those who wait when all is stored."""
        if self._failures:
            raise self._failures.pop(0)
        topic = self.topic(outgoing.topic)
        number = outgoing.partition if outgoing.partition is not None else self._choose(outgoing.key, topic)
        log = self.partition(outgoing.topic, number)
        if len(outgoing.value or b"") > int(topic.config["max.message.bytes"]):
            raise RecordTooLarge(f"sending to {outgoing.topic}: message size too large")
        log.records.append(
            Record(
                outgoing.topic, number, log.end, self._clock.now_ms(), outgoing.key, outgoing.value, outgoing.headers
            )
        )
        log.end += 1
        return number, log.end - 1

    def topic(self, name: str) -> Topic:
        """Return a topic.

        Raises:
            TopicsChanged: there is none.
        """
        if name not in self.topics:
            raise TopicsChanged(f"there is no topic {name}; `oryx setup` shows what is missing")
        return self.topics[name]

    def partition(self, name: str, number: int) -> PartitionLog:
        """Return a partition's records.

        Raises:
            TopicsChanged: there is none.
        """
        partitions = self.topic(name).partitions
        if not 0 <= number < len(partitions):
            raise TopicsChanged(f"there is no {name}[{number}]; `oryx setup` shows what is missing")
        return partitions[number]

    def answering(self) -> None:
        """Let a request pass.

        Raises:
            BrokerUnavailable: during an outage.
        """
        if self.down:
            raise BrokerUnavailable("the fake broker is down")

    def fail_next(self, count: int = 1, error: OryxError | None = None) -> None:
        """Have the next ``count`` records that arrive fail; they are not stored."""
        with self.changed:
            self._failures += [error or BrokerUnavailable("a failure was asked for")] * count

    def withhold_offsets(self, count: int = 1) -> None:
        """Have the next ``count`` records that producers send be stored, and these not told at which offset."""
        with self.changed:
            self._withheld += count

    def told(self, offset: int) -> int:
        """Return what a producer is told of this offset: -1 where a test asked for that; for who holds ``changed``."""
        if not self._withheld:
            return offset
        self._withheld -= 1
        return -1

    @contextmanager
    def outage(self) -> Iterator[None]:
        """Let nothing be stored or read within: what is sent waits, what is asked fails."""
        self.set_down(True)
        try:
            yield
        finally:
            self.set_down(False)

    def set_down(self, down: bool) -> None:
        """Begin or end an outage."""
        with self.changed:
            self.down = down
            self.changed.notify_all()

    def trim(self, topic: str, before: Mapping[int, int]) -> None:
        """Delete the records below these offsets, by partition, whoever has read them.

        Raises:
            ConfigError: an offset is above the end; what is below that goes, as with a broker.
        """
        with self.changed:
            for number, offset in before.items():
                log = self.partition(topic, number)
                if offset > log.end:
                    raise ConfigError(f"trimming {topic}[{number}]: {offset} is above its end {log.end}")
                log.start = max(log.start, offset)
                log.records = [record for record in log.records if record.offset >= log.start]
            self.changed.notify_all()

    def skip(self, topic: str, partition: int, offsets: int = 1) -> None:
        """Take offsets without a record, as the marker of a transaction does."""
        with self.changed:
            self.partition(topic, partition).end += offsets
            self.changed.notify_all()

    @contextmanager
    def transaction(self, outgoing: Outgoing) -> Iterator[None]:
        """Have a record stored of a transaction that is open within, and committed, which takes an offset, after."""
        with self.changed:
            number, offset = self.store(outgoing)
            self.partition(outgoing.topic, number).open.add(offset)
        try:
            yield
        finally:
            with self.changed:
                self.partition(outgoing.topic, number).open.discard(offset)
            self.skip(outgoing.topic, number)

    def delete(self, topic: str) -> None:
        """Delete a topic; one created later under its name is another."""
        with self.changed:
            self.topics.pop(topic, None)
            self.changed.notify_all()

    def _choose(self, key: bytes | None, topic: Topic) -> int:
        if key is None:
            self._unkeyed += 1
            return self._unkeyed % len(topic.partitions)
        return (murmur2(key) & 0x7FFFFFFF) % len(topic.partitions)
