"""The log: topics of ordered, durable records, as Kafka keeps them.

What every implementation promises, and ``oryx_py.testing.contracts.log_contract`` checks:

* within a partition, records are read in the order of their offsets, each once, and all that were acknowledged;
* offsets rise but need not be consecutive (markers of transactions take some), so nobody counts records by subtracting
  offsets, or waits for ``offset == end``: the end is where ``EndOfPartition`` says it is;
* records of one key go to one partition, murmur2 of the key, as the wire protocol has it;
* an outage of the broker is survived: producers keep what they hold, consumers go on where they were.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol, TypeAlias

import msgspec

from oryx_py.errors import OryxError

__all__ = [
    "Consumer",
    "Delivery",
    "EndOfPartition",
    "Headers",
    "OnDelivery",
    "OnFailure",
    "Outgoing",
    "Partition",
    "Producer",
    "Record",
    "TopicAdmin",
    "TopicSpec",
]

Headers: TypeAlias = tuple[tuple[str, bytes], ...]
Partition: TypeAlias = tuple[str, int]
"""A topic's name and the partition's number."""


class Record(msgspec.Struct, frozen=True, gc=False):
    """One record as it was read.

    ``timestamp_ms`` is Kafka's, -1 where the record has none. A header without a value has an empty one; if the name of
    one header is not UTF-8, all are left out.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


class EndOfPartition(msgspec.Struct, frozen=True, gc=False):
    """The reader has had everything of this partition; ``offset`` is its position there, the next record's or above."""

    topic: str
    partition: int
    offset: int


class Outgoing(msgspec.Struct, frozen=True, gc=False):
    """One record to be sent; ``partition`` None means: chosen by the key."""

    topic: str
    value: bytes | None
    key: bytes | None = None
    headers: Headers = ()
    partition: int | None = None


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """What became of one record sent: its place in the log, or the error (place -1 where unknown).

    A record without an error is stored, though its offset may be -1: a broker whose first answer went wrong does not
    always tell it later.
    """

    partition: int
    offset: int
    error: OryxError | None = None


OnDelivery: TypeAlias = Callable[[Delivery], None]
OnFailure: TypeAlias = Callable[[int, OryxError], None]
"""Told a record's number among those sent together, and why it was given up."""


class TopicSpec(msgspec.Struct, frozen=True):
    """What a topic should be; ``config`` has Kafka's names and values, both as text."""

    name: str
    partitions: int
    replication: int
    config: Mapping[str, str]


class Producer(Protocol):
    """Sends records; idempotent, acknowledged by all in-sync replicas; any thread may call it.

    Records of one partition are stored in the order of ``send``, each once, also when the broker dies and comes back.
    A record is given up after a time-out that the implementation fixes; its delivery then carries the error, but the
    broker may have stored it all the same.
    """

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
        """Queue one record and return at once.

        ``on_delivery`` is called once, on the producer's own thread, in the order of ``send`` within a partition;
        it must be short and must not raise. Its error is a BrokerUnavailable (no acknowledgement in time: retry),
        RecordTooLarge (skip), TopicsChanged (there is no such topic or partition) or ConfigError (not allowed).

        Raises:
            QueueFull: the bounded queue has no room.
            OryxError: what the delivery's error would have been, where that is known at once.
                In both cases nothing was queued and there will be no callback.
        """

    def send_many(self, records: Sequence[Outgoing], on_failure: OnFailure) -> int:
        """Queue records and return at once how many: the first ones, as many as the bounded queue has room for.

        Nothing is reported of what is acknowledged: that is what ``flush`` is for. ``on_failure`` is called for each
        that is given up, as ``on_delivery`` is by ``send``. Those of a partition are stored in their order, also over
        several calls; between these and what goes by ``send`` there is no order, unless ``flush`` is called.

        Raises:
            OryxError: as ``send`` does, of the first record; what cannot be queued after that ends the count.
        """

    def flush(self, timeout_s: float) -> None:
        """Wait until everything sent so far is acknowledged and its callbacks have returned.

        Not for the callback's thread. Others' sends in the meantime lengthen the wait.

        Raises:
            BrokerUnavailable: something is not acknowledged within ``timeout_s``; it stays queued.
            OryxError: something was given up since the last flush; this is the first such delivery's error,
                as a rule a BrokerUnavailable too.
        """

    def close(self, timeout_s: float = 5.0) -> None:
        """Send what is queued for at most ``timeout_s``, give up the rest (callbacks get the error), end the thread.

        Nothing is raised; a second call does nothing.
        """


class Consumer(Protocol):
    """Reads the partitions it was given from the offsets it was given; one thread at a time may call it.

    It belongs to no balanced group; ``group_id`` only names where ``commit`` keeps its positions.
    Only committed transactions' records are seen. What is read ahead is bounded in bytes.
    """

    def assign(self, positions: Mapping[Partition, int]) -> None:
        """Replace the assignment: read each partition from this offset (0 or above) on; nothing if empty."""

    def poll(self, max_records: int, timeout_s: float) -> list[Record | EndOfPartition]:
        """Return what is there, at most ``max_records`` events, waiting up to ``timeout_s`` for the first.

        Each partition's events are in order; an EndOfPartition comes whenever the reader has reached the end, at first
        also without any record (a partition that is empty), later only after further records. During an outage of the
        broker this returns an empty list at each call and never raises; reading goes on by itself afterwards.

        An error is raised only when everything read before it has been returned, and again at each further call until
        ``assign``.

        Raises:
            LogGap: the offset is not in the log: trimmed, or beyond its end (a topic that was re-created, a broker that
                lost records). The position is never moved silently.
            TopicsChanged: there is no such topic or partition (any more).
            ConfigError: the broker refuses these credentials or their rights.
        """

    def positions(self) -> dict[Partition, int]:
        """Next offset to be returned by ``poll``, for each assigned partition; what was read ahead does not count."""

    def ends(self) -> dict[Partition, int]:
        """Where the logs of assigned partitions end, as the broker last said; those it has not spoken of are left out.

        Asks nobody, so that it is old during an outage. May count what a reader never sees, as of a transaction.
        """

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """Store these positions under the group's name, durably, before returning.

        Raises:
            BrokerUnavailable: not acknowledged in time; stored or not.
            ConfigError: there is no ``group_id``, or no right to it.
        """

    def committed(self, partitions: Iterable[Partition]) -> dict[Partition, int | None]:
        """Positions stored under the group's name; None where there is none.

        Raises:
            BrokerUnavailable, ConfigError: as ``commit``.
        """

    def close(self) -> None:
        """Stop reading and free everything; commits nothing. A second call does nothing."""


class TopicAdmin(Protocol):
    """Looks at topics and creates them; any thread may call it; each call waits for the broker, some seconds at most.

    Raises, from every method:
        BrokerUnavailable: no answer in time.
        ConfigError: the broker refuses these credentials or their rights.
        TopicsChanged: there is no such topic (except from ``partitions``, ``create`` and ``cluster_id``).
    """

    def partitions(self, topic: str) -> int | None:
        """Count of the topic's partitions; None if there is no such topic (looking never creates it)."""

    def create(self, spec: TopicSpec) -> None:
        """Create the topic and wait until it can be used; nothing is changed if one of this name exists."""

    def start_offsets(self, topic: str) -> dict[int, int]:
        """The first offset still in the log, by partition."""

    def end_offsets(self, topic: str) -> dict[int, int]:
        """The offset that a reader reaches, one above the last readable record or marker, by partition."""

    def offsets_at(self, topic: str, timestamp_ms: int) -> dict[int, int]:
        """Offset of the first record of at least this timestamp, by partition; the end where there is none."""

    def trim(self, topic: str, before: Mapping[int, int]) -> None:
        """Delete the records below these offsets, by partition, up to the end at most.

        The end is that of `end_offsets`, looked up first: what comes later stays, and so does all from the first record
        of an open transaction on, since nobody can have read it.
        """

    def cluster_id(self) -> str:
        """The cluster's own name for itself; another one means another cluster."""

    def topic_id(self, topic: str) -> str:
        """The topic's identity, which a topic re-created under the same name does not share."""

    def config(self, topic: str) -> dict[str, str]:
        """The topic's settings as they are in force, defaults included; secret ones are left out."""
