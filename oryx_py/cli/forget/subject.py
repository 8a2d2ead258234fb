"""Who is to be forgotten, what names it, and up to where it is forgotten. Pure."""

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

import numpy as np

from oryx_py.cli.forget.unreadable import has_bytes, may_have_bytes
from oryx_py.errors import BadInteraction
from oryx_py.events import Interaction, parse_value
from oryx_py.messages import partition_of

__all__ = ["Forgotten", "Named", "Subject", "may_name"]


class Named(Enum):
    """Whether a record names somebody; PERHAPS: it cannot be read, and has the bytes of the name."""

    NO = 0
    PERHAPS = 1
    YES = 2


@dataclass(frozen=True, slots=True)
class Subject:
    """A user or an item, compared bytewise."""

    kind: Literal["user", "item"]
    id: str

    @property
    def encoded(self) -> bytes:
        """UTF-8."""
        return self.id.encode()

    def of(self, interaction: Interaction) -> bool:
        """Say whether an interaction, delete or forget is the subject's."""
        return (interaction.user if self.kind == "user" else interaction.item) == self.id

    def is_forget(self, interaction: Interaction) -> bool:
        """Say whether this forgets the subject."""
        return self.of(interaction) and not (interaction.item if self.kind == "user" else interaction.user)

    def named_by(self, key: bytes | None, value: bytes | None) -> Named:
        """Say whether a record of the input topic names the subject, be it readable or not."""
        if self.kind == "user" and key == self.encoded:
            return Named.YES
        if not may_have_bytes(value, self.id) and not may_have_bytes(key, self.id):
            return Named.NO
        try:
            return Named.YES if self.of(parse_value(value)) else Named.NO
        except BadInteraction:
            return Named.PERHAPS if has_bytes(value, self.id) or has_bytes(key, self.id) else Named.NO


@dataclass(slots=True)
class Forgotten:
    """By input partition the newest forget of a subject, also one whose idempotency key was used before.

    Whether layers ignore such a one depends on the window, and on what else came in it. Who takes it for a forget calls
    too much old at worst, never too little. Told in any order, as often as one likes.

    Args:
        subject: of whom.
        partitions: of the input topic.
    """

    subject: Subject
    partitions: int
    offsets: dict[int, int] = field(default_factory=dict)
    at_ms: int = -1
    """Kafka's timestamp of the newest."""
    keys: dict[int, bytes] = field(default_factory=dict)
    """By partition the key of the newest forget, where it has one."""
    _told: "dict[int, tuple[array[int], array[int]]]" = field(default_factory=dict)
    """By partition a hash of each record's key, and the record's offset: 16 bytes."""

    def add(self, partition: int, offset: int, at_ms: int, key: bytes | None) -> None:
        """Take one forget."""
        self.note(partition, offset, key)
        if partition in self.home and offset > self.offsets.get(partition, -1 << 62):
            self.offsets[partition] = offset
            self.keys.pop(partition, None)
            if key:
                self.keys[partition] = key
            self.at_ms = max(self.at_ms, at_ms)

    def note(self, partition: int, offset: int, key: bytes | None) -> None:
        """Take the key of a record that a forget could be taken to repeat: of the user, or of nobody."""
        if key:
            hashes, offsets = self._told.setdefault(partition, (array("q"), array("q")))
            hashes.append(hash(key))
            offsets.append(offset)

    @property
    def repeated(self) -> set[int]:
        """Partitions whose newest forget has the key of an earlier record, so that layers may have ignored it."""
        return {partition for partition, key in self.keys.items() if self._has_before(partition, hash(key))}

    def _has_before(self, partition: int, key: int) -> bool:
        hashes, offsets = (np.frombuffer(column, np.int64) for column in self._told[partition])
        return bool(((hashes == key) & (offsets < self.offsets[partition])).any())

    @property
    def home(self) -> range:
        """The partitions that have to be told: a user's own, all for an item."""
        if self.subject.kind == "item":
            return range(self.partitions)
        own = partition_of(self.subject.id, self.partitions)
        return range(own, own + 1)

    @property
    def complete(self) -> bool:
        """Whether every partition that has to be told was told."""
        return all(partition in self.offsets for partition in self.home)

    def is_old(self, partition: int, offset: int) -> bool:
        """Say whether what came at a place should be gone: also where no forget came, or none can."""
        return offset < self.offsets.get(partition, 1 << 62)

    def is_covered_by(self, ends: Mapping[int, int]) -> bool:
        """Say whether who has had the input up to these offsets has had every forget."""
        return self.complete and all(ends.get(partition, 0) > offset for partition, offset in self.offsets.items())


def may_name(value: bytes | None, wanted: bytes) -> bool:
    """Say no only where a value cannot name an ID: it neither has its bytes, nor could write it in another way."""
    return value is not None and (wanted in value or b"\\" in value or (b'"' in wanted and b'"' in value))
