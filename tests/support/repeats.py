"""The slow, obvious answer to which records of a log repeat others."""

from collections.abc import Sequence
from itertools import accumulate

import msgspec

from oryx_py.events import FoldSettings, Interaction
from oryx_py.ports import Record

__all__ = ["Sighting", "repeated", "sighting_of"]


class Sighting(msgspec.Struct, frozen=True):
    """What decides about one readable record of the input topic; `id` empty where it has none."""

    partition: int
    offset: int
    kafka_ms: int
    user: str
    id: bytes


def sighting_of(record: Record, interaction: Interaction) -> Sighting:
    """Return what decides about a record that was read."""
    headers = dict(reversed(record.headers))  # of equal names the first counts
    return Sighting(record.partition, record.offset, record.timestamp_ms, interaction.user, headers.get("id", b""))


def repeated(log: Sequence[Sighting], settings: FoldSettings) -> set[tuple[int, int]]:
    """Return partition and offset of the records to be ignored: each compared with all of its user and ID before it."""
    found: set[tuple[int, int]] = set()
    if settings.dedupe_window_s == 0:
        return found
    for partition in {record.partition for record in log}:
        with_id = sorted((r for r in log if r.partition == partition and r.id), key=lambda record: record.offset)
        clocks = list(accumulate((record.kafka_ms for record in with_id), max))
        before: dict[tuple[str, bytes], list[int]] = {}
        for number, record in enumerate(with_id):
            mine = before.setdefault((record.user, record.id), [])
            if any(
                clocks[number] - clocks[earlier] <= settings.dedupe_window_s * 1000
                and number - earlier <= settings.dedupe_records
                for earlier in mine
            ):
                found.add((partition, record.offset))
            mine.append(number)
    return found
