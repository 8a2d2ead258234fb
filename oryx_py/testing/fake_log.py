"""The log in memory: the ports of `oryx_py.ports.log` without a broker, with faults on request."""

import bisect
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import TypeAlias

from oryx_py.errors import BrokerUnavailable, ConfigError, LogGap, OryxError, QueueFull, TopicsChanged
from oryx_py.ports import (
    Delivery,
    EndOfPartition,
    Headers,
    OnDelivery,
    OnFailure,
    Outgoing,
    Partition,
    Record,
    TopicSpec,
)
from oryx_py.testing.fake_broker import FakeLog

__all__ = ["FakeAdmin", "FakeConsumer", "FakeLog", "FakeProducer"]


_TOGETHER = 1000
"""Records, at most, that are stored before others may look at the log."""
_Entry: TypeAlias = tuple[Outgoing, OnDelivery | None, OnFailure | None]


class FakeProducer:
    """Stores what is sent from a thread of its own, one record after the other; see the port ``Producer``.

    ``capacity`` bounds the records that wait; one that waits for ``delivery_timeout_s`` is given up.
    """

    def __init__(self, log: FakeLog, *, capacity: int = 100_000, delivery_timeout_s: float = 60.0) -> None:
        self._log = log
        self._capacity = capacity
        self._timeout_s = delivery_timeout_s
        self._queue: deque[tuple[_Entry, int, float]] = deque()
        """With its number among those sent together, and when it is given up."""
        self._first_failure: OryxError | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._serve, name="fake-producer", daemon=True)
        self._thread.start()

    def send(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        headers: Headers = (),
        partition: int | None = None,
        on_delivery: OnDelivery | None = None,
    ) -> None:
        """Queue one record and return at once."""
        record = Outgoing(topic, value, key, tuple(headers), partition)
        if not self._enqueue([(record, on_delivery, None)]):
            raise QueueFull("too many records wait for acknowledgement; try again later")

    def send_many(self, records: Sequence[Outgoing], on_failure: OnFailure) -> int:
        """Queue the first records, as many as there is room for, and return how many at once."""
        return self._enqueue([(record, None, on_failure) for record in records])

    def flush(self, timeout_s: float) -> None:
        """Wait until everything sent so far is stored and its callbacks have returned."""
        with self._log.changed:
            stored = self._log.changed.wait_for(lambda: not self._queue, timeout_s)
            failure, self._first_failure = self._first_failure, None
            waiting = len(self._queue)
        if failure is not None:
            raise failure
        if not stored:
            raise BrokerUnavailable(f"{waiting} records are not acknowledged after {timeout_s:g} s")

    def close(self, timeout_s: float = 5.0) -> None:
        """Store what is queued for at most ``timeout_s``, give up the rest, end the thread."""
        with self._log.changed:
            self._log.changed.wait_for(lambda: not self._queue, timeout_s)
            self._closing = True
            self._log.changed.notify_all()
        self._thread.join()

    def _enqueue(self, entries: Sequence[_Entry]) -> int:
        with self._log.changed:
            if self._closing:
                raise BrokerUnavailable("this producer is closed")
            fitting = entries[: max(0, self._capacity - len(self._queue))]
            deadline = time.monotonic() + self._timeout_s
            self._queue.extend((entry, number, deadline) for number, entry in enumerate(fitting))
            self._log.changed.notify_all()
        return len(fitting)

    def _serve(self) -> None:
        while True:
            with self._log.changed:
                while not self._has_work():
                    self._log.changed.wait(self._patience_s())
                if not self._queue:
                    return
                waits = self._log.down and not self._closing
                now = time.monotonic()
                some = [
                    (entry, number)
                    for entry, number, deadline in islice(self._queue, _TOGETHER)
                    if not waits or deadline <= now
                ]
                deliveries = [self._store(record) for (record, _, _), _ in some]
                self._log.changed.notify_all()
            for ((_, on_delivery, on_failure), number), delivery in zip(some, deliveries, strict=True):
                if on_delivery is not None:
                    on_delivery(delivery)
                elif on_failure is not None and delivery.error is not None:
                    on_failure(number, delivery.error)
            with self._log.changed:
                for _ in some:  # only now: flush also waits for the callbacks
                    self._queue.popleft()
                self._log.changed.notify_all()

    def _has_work(self) -> bool:
        if not self._queue:
            return self._closing
        return self._closing or not self._log.down or time.monotonic() >= self._queue[0][2]

    def _patience_s(self) -> float | None:
        return max(0.0, self._queue[0][2] - time.monotonic()) if self._queue else None

    def _store(self, record: Outgoing) -> Delivery:
        try:
            self._log.answering()
            number, offset = self._log.store(record)
            return Delivery(number, self._log.told(offset))
        except OryxError as error:
            self._first_failure = self._first_failure or error
            return Delivery(-1 if record.partition is None else record.partition, -1, error)


class FakeConsumer:
    """Reads the fake log; see the port ``Consumer``."""

    def __init__(self, log: FakeLog, group_id: str | None = None) -> None:
        self._log = log
        self._group_id = group_id
        self._positions: dict[Partition, int] = {}
        self._ends_told: dict[Partition, int] = {}
        self._error: OryxError | None = None

    def assign(self, positions: Mapping[Partition, int]) -> None:
        """Replace the assignment."""
        self._positions, self._ends_told, self._error = dict(positions), {}, None

    def poll(self, max_records: int, timeout_s: float) -> list[Record | EndOfPartition]:
        """Return what is there, at most ``max_records`` events, waiting up to ``timeout_s`` for the first."""
        events: list[Record | EndOfPartition] = []

        def anything() -> bool:
            events.extend(self._read(max_records))
            return bool(events) or self._error is not None

        with self._log.changed:
            self._log.changed.wait_for(anything, timeout_s)
        if not events and self._error is not None:
            raise self._error
        return events

    def positions(self) -> dict[Partition, int]:
        """Next offset to be returned, for each assigned partition."""
        return dict(self._positions)

    def ends(self) -> dict[Partition, int]:
        """Where the logs end; nothing while the broker is down."""
        with self._log.changed:
            if self._log.down:
                return {}
            there = {name: topic.partitions for name, topic in self._log.topics.items()}
            return {
                (name, number): there[name][number].end
                for name, number in self._positions
                if number < len(there.get(name, ()))
            }

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """Store these positions under the group's name."""
        with self._log.changed:
            self._group().update(positions)

    def committed(self, partitions: Iterable[Partition]) -> dict[Partition, int | None]:
        """Positions stored under the group's name; None where there is none."""
        with self._log.changed:
            group = self._group()
            return {where: group.get(where) for where in partitions}

    def close(self) -> None:
        """Read nothing any more."""
        self.assign({})

    def _group(self) -> dict[Partition, int]:
        if self._group_id is None:
            raise ConfigError("this consumer was made without a group_id: it has nowhere to keep positions")
        self._log.answering()
        return self._log.groups.setdefault(self._group_id, {})

    def _read(self, max_records: int) -> list[Record | EndOfPartition]:
        events: list[Record | EndOfPartition] = []
        if self._log.down or self._error is not None:
            return events
        for where in self._positions:
            try:
                self._read_partition(where, max_records, events)
            except OryxError as error:
                self._error = error
        return events

    def _read_partition(self, where: Partition, max_records: int, events: list[Record | EndOfPartition]) -> None:
        log = self._log.partition(*where)
        position = self._positions[where]
        if not log.start <= position <= log.end:
            raise LogGap(f"reading {where[0]}[{where[1]}] from {position}: the log has {log.start} to {log.end}")
        first = bisect.bisect_left(log.records, position, key=lambda record: record.offset)
        stable = bisect.bisect_left(log.records, log.stable, key=lambda record: record.offset)
        room = max_records - len(events)
        read = log.records[first : min(stable, first + room)]
        events.extend(read)
        if read:
            self._positions[where] = read[-1].offset + 1
        if len(read) < room and self._ends_told.get(where) != log.stable:
            self._positions[where] = self._ends_told[where] = log.stable
            events.append(EndOfPartition(*where, log.stable))


class FakeAdmin:
    """Looks at the fake log; see the port ``TopicAdmin``."""

    def __init__(self, log: FakeLog) -> None:
        self._log = log

    def partitions(self, topic: str) -> int | None:
        """Count of the topic's partitions; None if there is no such topic."""
        with self._log.changed:
            self._log.answering()
            return len(self._log.topics[topic].partitions) if topic in self._log.topics else None

    def create(self, spec: TopicSpec) -> None:
        """Create the topic unless it exists."""
        self._log.answering()
        self._log.create(spec)

    def start_offsets(self, topic: str) -> dict[int, int]:
        """The first offset still in the log, by partition."""
        with self._log.changed:
            self._log.answering()
            return {number: log.start for number, log in enumerate(self._log.topic(topic).partitions)}

    def end_offsets(self, topic: str) -> dict[int, int]:
        """The offset that a reader reaches, by partition."""
        with self._log.changed:
            self._log.answering()
            return {number: log.stable for number, log in enumerate(self._log.topic(topic).partitions)}

    def offsets_at(self, topic: str, timestamp_ms: int) -> dict[int, int]:
        """Offset of the first record of at least this timestamp, by partition; the end where there is none."""
        with self._log.changed:
            self._log.answering()
            return {
                number: min(
                    log.stable, next((at.offset for at in log.records if at.timestamp_ms >= timestamp_ms), log.end)
                )
                for number, log in enumerate(self._log.topic(topic).partitions)
            }

    def trim(self, topic: str, before: Mapping[int, int]) -> None:
        """Delete the records below these offsets, by partition, up to the end as it is looked up before."""
        ends = self.end_offsets(topic)
        if unknown := sorted(before.keys() - ends.keys()):
            raise TopicsChanged(f"topic {topic} has no partition {unknown[0]}: it has {len(ends)}")
        self._log.trim(topic, {partition: min(offset, ends[partition]) for partition, offset in before.items()})

    def cluster_id(self) -> str:
        """The cluster's own name for itself."""
        self._log.answering()
        return self._log.cluster_id

    def topic_id(self, topic: str) -> str:
        """The topic's identity."""
        with self._log.changed:
            self._log.answering()
            return self._log.topic(topic).id

    def config(self, topic: str) -> dict[str, str]:
        """The topic's settings as they are in force."""
        with self._log.changed:
            self._log.answering()
            return dict(self._log.topic(topic).config)
