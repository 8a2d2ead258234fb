"""The consumer on Kafka: partitions and offsets as they are given, nothing balanced, nothing reset."""

import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

from confluent_kafka import Consumer as Client
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from oryx_py.adapters.kafka.client import ANSWER_S, LOG, configuration, refuses_us, translate
from oryx_py.adapters.kafka.group_positions import GroupPositions
from oryx_py.errors import ConfigError, LogGap, OryxError, TopicsChanged
from oryx_py.ports import EndOfPartition, Headers, Partition, Record

__all__ = ["KafkaConsumer"]

_FIXED: Final[dict[str, Any]] = {
    "auto.offset.reset": "error",  # a gap is reported, never jumped
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "enable.partition.eof": True,
    "isolation.level": "read_committed",
}
_TUNED: Final[dict[str, Any]] = {
    "fetch.min.bytes": 1,  # a record is handed over as it arrives
    # How long the broker keeps an empty request. A partition just assigned waits for the end of the one on its way
    # (500 ms by default, once or twice); a record never does.
    "fetch.wait.max.ms": 50,
    "fetch.error.backoff.ms": 50,
    # What is read ahead: at most this, and one answer of the broker more.
    "queued.max.messages.kbytes": 16_384,
    "fetch.max.bytes": 16_777_216,
    "message.max.bytes": 16_777_216,
    "max.partition.fetch.bytes": 1_048_576,
    "fetch.queue.backoff.ms": 10,  # 1 s by default: as long would a full queue stay unfilled
}
_NO_GROUP: Final = "oryx-reader"  # librdkafka wants a name; nothing is ever stored under it
_IDLE_S: Final = 2.0  # without anything to return, before the topics are looked for
_LOOK_S: Final = 1.0


class KafkaConsumer:
    """Reads from Kafka; see the port ``Consumer``.

    ``client`` has librdkafka's properties. Some 32 MiB are read ahead at most. ``commit`` and ``committed`` wait
    ``timeout_s`` for their answer.

    Raises:
        ConfigError: from the constructor, for a property that is unknown or may not be changed.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        client: Mapping[str, str],
        group_id: str | None = None,
        *,
        timeout_s: float = ANSWER_S,
    ) -> None:
        fixed = {**_FIXED, "group.id": group_id or _NO_GROUP}
        merged = configuration(bootstrap_servers, client, tuned=_TUNED, fixed=fixed)
        self._positions_of_group: GroupPositions | None = None
        if group_id is not None:
            shared = configuration(bootstrap_servers, client, tuned={}, fixed={})
            self._positions_of_group = GroupPositions(shared, group_id, timeout_s=timeout_s)
        self._positions: dict[Partition, int] = {}
        self._error: OryxError | None = None
        self._refusal: KafkaError | None = None  # the newest since anything was answered; the first came at this time
        self._refused_at = 0.0
        self._look_at = 0.0
        self._missing: set[Partition] = set()  # by the last look
        self._closed = False
        try:
            self._client = Client({**merged, "error_cb": self._on_client_error})
        except (KafkaException, ValueError) as error:
            raise translate(error, "starting a Kafka consumer") from error

    def assign(self, positions: Mapping[Partition, int]) -> None:
        """Replace the assignment; see the port."""
        self._error = None
        self._positions = dict(positions)
        self._look_at, self._missing = time.monotonic() + _IDLE_S, set()
        self._client.assign(_topic_partitions(positions))

    def poll(self, max_records: int, timeout_s: float) -> list[Record | EndOfPartition]:
        """Return what is there, waiting up to ``timeout_s`` for the first; see the port."""
        now = time.monotonic()
        deadline = now + timeout_s
        while self._error is None:
            if now >= self._look_at:
                self._look_for_topics(min(timeout_s, _LOOK_S))
            # librdkafka's batch call would wait until the batch is full: wait for one, and take what else is there.
            first = self._client.poll(max(0.0, min(deadline, self._look_at) - now))
            if first is not None:
                more = self._client.consume(max_records - 1, 0) if max_records > 1 else []
                events = self._events([first, *more])
                if events:
                    self._look_at, self._refusal = time.monotonic() + _IDLE_S, None
                    return events
            now = time.monotonic()
            if now >= deadline:
                break
        if self._error is not None:
            raise self._error
        self._check_refusal()
        return []

    def positions(self) -> dict[Partition, int]:
        """Next offset to be returned, for each assigned partition."""
        return dict(self._positions)

    def ends(self) -> dict[Partition, int]:
        """Where the logs end, as the broker last said; see the port."""
        found = {}
        for where in self._positions:
            _, end = self._client.get_watermark_offsets(TopicPartition(*where), cached=True)
            if end >= 0:  # below: it has not answered yet
                found[where] = end
        return found

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """Store these positions under the group's name; see the port."""
        self._group().commit(positions)

    def committed(self, partitions: Iterable[Partition]) -> dict[Partition, int | None]:
        """Positions stored under the group's name; see the port."""
        return self._group().committed(partitions)

    def close(self) -> None:
        """Stop reading and free everything."""
        if not self._closed:
            self._closed = True
            self._client.close()
            if self._positions_of_group is not None:
                self._positions_of_group.close()

    def _events(self, messages: list[Any]) -> list[Record | EndOfPartition]:
        events: list[Record | EndOfPartition] = []
        positions = self._positions
        for message in messages:
            error: KafkaError | None = message.error()
            topic, partition, offset = message.topic(), message.partition(), message.offset()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                self._on_partition_error(error, topic, partition)
                continue
            where = (topic, partition)
            if offset < positions.get(where, offset + 1):  # of an assignment before this one
                continue
            if error is not None:
                positions[where] = offset
                events.append(EndOfPartition(topic, partition, offset))
            else:
                positions[where] = offset + 1
                timestamp_ms, key, value = message.timestamp()[1], message.key(), message.value()
                events.append(Record(topic, partition, offset, timestamp_ms, key, value, _headers(message)))
        return events

    def _on_partition_error(self, error: KafkaError, topic: str | None, partition: int) -> None:
        if error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
            return  # librdkafka looks for the group's coordinator unasked: whoever reads so has no need of it
        where = f"{topic}[{partition}]"
        position = self._positions.get((topic or "", partition))
        translated = translate(error, f"reading {where}" if position is None else f"reading {where} from {position}")
        if isinstance(translated, LogGap | TopicsChanged | ConfigError):
            self._error = self._error or translated
        else:
            LOG.warning("%s; librdkafka tries again", translated)

    def _on_client_error(self, error: KafkaError) -> None:
        """Take errors that belong to no partition; those of connections are librdkafka's to retry."""
        if refuses_us(error):
            if self._refusal is None:
                self._refused_at = time.monotonic()
                LOG.warning("Kafka refuses a consumer: %s", error.str())
            self._refusal = error

    def _check_refusal(self) -> None:
        """Raise a refusal since which nothing was answered for as long as an answer takes; others pass.

        A token that could not be renewed once leaves the connections as they are.
        """
        if self._refusal is None or not self._positions or time.monotonic() < self._refused_at + ANSWER_S:
            return
        topic = next(iter(self._positions))[0]
        try:
            self._client.list_topics(topic, timeout=_LOOK_S)
        except KafkaException:
            raise translate(self._refusal, "reading") from None
        self._refusal = None

    def _look_for_topics(self, timeout_s: float) -> None:
        """Notice topics that are not there: librdkafka says nothing of them, and would wait for ever.

        Two looks have to agree, for a broker that has just started may not know all its topics yet.
        """
        self._look_at = time.monotonic() + _IDLE_S
        missing: set[Partition] = set()
        for topic in {topic for topic, _ in self._positions}:
            try:
                found = self._client.list_topics(topic, timeout=timeout_s).topics[topic]
            except KafkaException:  # an outage
                return
            self._refusal = None
            if found.error is None or found.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                missing |= {
                    where for where in self._positions if where[0] == topic and where[1] not in found.partitions
                }
        gone = sorted(missing & self._missing)
        if gone and self._error is None:
            topic, partition = gone[0]
            self._error = TopicsChanged(f"there is no {topic}[{partition}]; `oryx setup` shows what is missing")
        self._missing = missing

    def _group(self) -> GroupPositions:
        if self._positions_of_group is None:
            raise ConfigError("this consumer was made without a group_id: it has nowhere to keep positions")
        return self._positions_of_group


def _topic_partitions(positions: Mapping[Partition, int]) -> list[TopicPartition]:
    return [TopicPartition(topic, partition, offset) for (topic, partition), offset in positions.items()]


def _headers(message: Any) -> Headers:
    """Return a message's headers; none if the name of one is no UTF-8, at which confluent-kafka 2.16 fails."""
    try:
        headers = message.headers()
    except (SystemError, UnicodeDecodeError):
        return ()
    return tuple((name, value or b"") for name, value in headers) if headers else ()
