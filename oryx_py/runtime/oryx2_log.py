"""The update topic as an Oryx 2 batch layer writes it: where its models are, and which messages belong to which.

A model begins with a ``MODEL`` or ``MODEL-REF`` that has no header ``epoch``. What comes after it is its own, until
the next one comes: in the partition that holds that one by offset, in others by Kafka's timestamp, since nothing else
orders partitions. Oryx sets its topic up with one partition, where the order is exact.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

import msgspec

from oryx_py.errors import BadMessage
from oryx_py.messages import Update, decode
from oryx_py.ports import Clock, Consumer, Record, TopicAdmin
from oryx_py.runtime.reading import records_between

__all__ = ["ModelMessage", "Oryx2Log", "Oryx2Reader", "is_model"]

_KEYS = frozenset({b"MODEL", b"MODEL-REF"})
_FIRST_BLOCK = 1_000
_PATIENCE_S = 5.0
"""Of one look at the topic; the next look tries again."""


def is_model(record: Record) -> bool:
    """Say whether a record begins a model of Oryx 2."""
    return record.key in _KEYS and all(name != "epoch" for name, _ in record.headers)


@dataclass(frozen=True, slots=True)
class ModelMessage:
    """Where a model begins; what it says stays in the log, since it may be megabytes."""

    partition: int
    offset: int
    timestamp_ms: int

    @classmethod
    def of(cls, record: Record) -> Self:
        """Return the place of a record."""
        return cls(record.partition, record.offset, record.timestamp_ms)

    def is_newer(self, other: "ModelMessage | None") -> bool:
        """Say whether this one comes after another; any comes after none."""
        if other is None or other.partition == self.partition:
            return other is None or self.offset > other.offset
        return (self.timestamp_ms, self.partition) > (other.timestamp_ms, other.partition)

    def epoch(self, partitions: int) -> int:
        """Return the number of the epoch that begins here: the offset where the topic has one partition.

        Args:
            partitions: of the update topic; with several, the numbers of models in different ones have no order.
        """
        return self.offset * partitions + self.partition

    def precedes(self, record: Record) -> bool:
        """Say whether a record comes after this."""
        if record.partition == self.partition:
            return record.offset > self.offset
        return record.timestamp_ms >= self.timestamp_ms


class Oryx2Reader:
    """Says which records are one model's; owned by the thread that reads.

    Args:
        epoch: the number that the model has here.
        model: where it begins.
        following: where the next model begins, None where none is known yet; one that comes by is noticed.
    """

    def __init__(self, epoch: int, model: ModelMessage, following: ModelMessage | None = None) -> None:
        self._epoch = epoch
        self._model = model
        self._next = following

    def is_model(self, record: Record) -> bool:
        """Say whether a record begins another model, from which on nothing without the epoch's number is this one's."""
        if not is_model(record) or not self._model.precedes(record):
            return False
        found = ModelMessage.of(record)
        if self._next is None or self._next.is_newer(found):
            self._next = found
        return True

    def read(self, record: Record) -> Update | None:
        """Return what a record says, None where that is not about this model.

        A header ``epoch`` decides where there is one; without it, the place does.

        Raises:
            BadMessage: it cannot be read.
        """
        named = next((value for name, value in record.headers if name == "epoch"), None)
        if named is None and self._next is not None and self._next.precedes(record):
            return None
        if record.key in _KEYS or (named is not None and named != b"%d" % self._epoch):
            return None
        update = decode(record.key, record.value, record.headers)
        return update if named is not None else msgspec.structs.replace(update, epoch=self._epoch)


@dataclass(frozen=True, slots=True)
class Oryx2Log:
    """Finds models in the update topic; its calls block."""

    topic: str
    admin: TopicAdmin
    new_consumer: Callable[[], Consumer]
    clock: Clock

    def newest(self, floor: Mapping[int, int], end: Mapping[int, int]) -> ModelMessage | None:
        """Return the newest model between two sets of offsets, None where there is none.

        Looks backwards from the end, in blocks that double, and no further back than the model that it finds.

        Raises:
            BrokerUnavailable: it did not answer in time.
            LogGap: the topic was trimmed meanwhile.
        """
        found: ModelMessage | None = None
        floor, end, block = dict(floor), dict(end), _FIRST_BLOCK
        consumer = self.new_consumer()
        try:
            while unread := {p: offset for p, offset in end.items() if floor.get(p, 0) < offset}:
                start = {p: max(floor.get(p, 0), offset - block) for p, offset in unread.items()}
                here = self._newest_between(consumer, start, unread)
                if here is not None and here.is_newer(found):
                    found = here
                    floor |= {p: max(floor.get(p, 0), o) for p, o in self.start_of(found).items()}
                end, block = end | start, 2 * block
        finally:
            consumer.close()
        return found

    def start_of(self, model: ModelMessage) -> dict[int, int]:
        """Return by partition where what belongs to a model begins, the model's own message apart."""
        return self.admin.offsets_at(self.topic, max(model.timestamp_ms, 0)) | {model.partition: model.offset + 1}

    def value(self, model: ModelMessage) -> tuple[bytes, bytes]:
        """Read a model's message again: its key and value.

        Raises:
            BadMessage: it has no value, or is no model any more.
            BrokerUnavailable, LogGap: as `newest`.
        """
        at = {model.partition: model.offset}
        consumer = self.new_consumer()
        try:
            for record in records_between(
                consumer, self.topic, at, {model.partition: model.offset + 1}, clock=self.clock, patience_s=_PATIENCE_S
            ):
                if record.offset == model.offset and is_model(record) and record.key and record.value is not None:
                    return record.key, record.value
                break
        finally:
            consumer.close()
        raise BadMessage(f"{self.topic}[{model.partition}]@{model.offset} is no MODEL or MODEL-REF with a value")

    def _newest_between(
        self, consumer: Consumer, start: Mapping[int, int], end: Mapping[int, int]
    ) -> ModelMessage | None:
        found: ModelMessage | None = None
        for record in records_between(consumer, self.topic, start, end, clock=self.clock, patience_s=_PATIENCE_S):
            is_inside = record.offset < end[record.partition]
            if is_inside and is_model(record) and ModelMessage.of(record).is_newer(found):
                found = ModelMessage.of(record)
        return found
