"""What the contracts of logs need: a log as they see it, and how they send and read."""

import time
import uuid
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Final, Protocol

from oryx_py.errors import OryxError
from oryx_py.ports import (
    Consumer,
    Delivery,
    EndOfPartition,
    Outgoing,
    Partition,
    Producer,
    Record,
    TopicAdmin,
    TopicSpec,
)

__all__ = [
    "DEADLINE_S",
    "BreakableLog",
    "LogUnderTest",
    "error_of",
    "everything",
    "new_topic",
    "read_to_end",
    "read_until",
    "records_of",
    "send_all",
]

DEADLINE_S: Final = 60.0
"""Of whatever a test waits for; generous, since machines that run tests are slow and shared."""


class LogUnderTest(Protocol):
    """A log as the contract sees it; who provides it closes what it handed out."""

    def producer(self) -> Producer:
        """Return a new producer."""

    def consumer(self, group_id: str | None = None) -> Consumer:
        """Return a new consumer."""

    def admin(self) -> TopicAdmin:
        """Return a new admin client."""

    def transaction(self, outgoing: Outgoing) -> AbstractContextManager[None]:
        """Have the record in the log within, of a transaction that is still open, and commit that at the end."""

    def delete(self, topic: str) -> None:
        """Delete a topic and return when it is gone."""


class BreakableLog(LogUnderTest, Protocol):
    """A log of one test, whose broker can go away."""

    def small_producer(self) -> Producer:
        """Return a new producer whose queue holds ten records."""

    def hasty_clients(self) -> tuple[Consumer, TopicAdmin]:
        """Return a consumer with a group and an admin client that wait a second for an answer."""

    def outage(self) -> AbstractContextManager[None]:
        """Have no broker within."""


def new_topic(log: LogUnderTest, partitions: int = 1, **config: str) -> str:
    """Create a topic that no other test has."""
    name = f"contract-{uuid.uuid4().hex}"
    log.admin().create(TopicSpec(name, partitions, 1, {key.replace("_", "."): value for key, value in config.items()}))
    return name


def everything(topic: str, partitions: int = 1) -> dict[Partition, int]:
    """Return an assignment of all partitions from their beginning."""
    return {(topic, partition): 0 for partition in range(partitions)}


def read_until(
    consumer: Consumer, done: Callable[[list[Record | EndOfPartition]], bool], max_records: int = 500
) -> list[Record | EndOfPartition]:
    """Poll until ``done`` with all events so far."""
    deadline = time.monotonic() + DEADLINE_S
    events: list[Record | EndOfPartition] = []
    while not done(events):
        assert time.monotonic() < deadline, f"not there in time; so far {len(events)} events, the last {events[-3:]}"
        events += consumer.poll(max_records, 1.0)
    return events


def read_to_end(consumer: Consumer, max_records: int = 500) -> list[Record]:
    """Read until every assigned partition has said that this is its end."""

    def at_the_end(events: list[Record | EndOfPartition]) -> bool:
        ended = {(event.topic, event.partition) for event in events if isinstance(event, EndOfPartition)}
        return ended >= consumer.positions().keys()

    return records_of(read_until(consumer, at_the_end, max_records))


def records_of(events: Iterable[Record | EndOfPartition]) -> list[Record]:
    """Leave out the ends."""
    return [event for event in events if isinstance(event, Record)]


def send_all(producer: Producer, records: Iterable[Outgoing]) -> list[Delivery]:
    """Send records and return their deliveries in the order they were reported."""
    deliveries: list[Delivery] = []
    for record in records:
        producer.send(
            record.topic,
            record.value,
            key=record.key,
            headers=record.headers,
            partition=record.partition,
            on_delivery=deliveries.append,
        )
    producer.flush(DEADLINE_S)
    return deliveries


def error_of(consumer: Consumer, read: list[Record] | None = None) -> OryxError:
    """Poll until an error is raised, and return it; what comes before goes to ``read``."""
    read = [] if read is None else read
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        try:
            read += records_of(consumer.poll(500, 1.0))
        except OryxError as error:
            return error
    raise AssertionError("nothing was raised in time")
