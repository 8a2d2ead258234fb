"""Turns updates, progress and dead letters into records that fit their topics. Pure."""

import hashlib
from collections.abc import Mapping, Sequence
from itertools import repeat

import msgspec
import numpy as np

from oryx_py.messages import ItemGone, ItemVector, Message, Progress, Update, UserGone, UserVector, encode, partition_of
from oryx_py.messages.blocks import Blocks, PairsGone, Updates, UserVectors, encode_block, encode_gone
from oryx_py.messages.item_state import AllSaid, ItemState, encode_state
from oryx_py.messages.partitions import homes_of
from oryx_py.ports import Outgoing, Record

__all__ = [
    "block_records",
    "dead_letter",
    "progress_records",
    "signed",
    "stamped",
    "state_records",
    "unstamped",
    "update_records",
]

DEAD_LETTER_BYTES = 64 * 1024
"""Of a value that cannot be read, so much is kept (wire protocol)."""
OVERHEAD_BYTES = 1024
"""Room for what Kafka adds to a record: lengths, checksums, the batch's header."""
MOST_ITEMS = 2_000
"""Of one record's list: the serving layer applies a record at once, this many items in some milliseconds, and requests
wait meanwhile."""


def stamped(updates: Sequence[Update], times_ms: Mapping[str, int]) -> list[Update]:
    """Return the updates, those of these users with the time of the newest interaction that they answer."""
    return [
        msgspec.structs.replace(update, at_ms=times_ms[update.user])
        if isinstance(update, UserVector) and update.user in times_ms
        else update
        for update in updates
    ]


def unstamped(updates: Sequence[Updates]) -> list[Updates]:
    """Return the updates without times: those of a replay answer no interaction that anybody waits for."""
    return [
        msgspec.structs.replace(update, at_ms=np.full(len(update), -1, np.int64))
        if isinstance(update, UserVectors)
        else msgspec.structs.replace(update, at_ms=None)
        if isinstance(update, UserVector)
        else update
        for update in updates
    ]


def signed(updates: Sequence[Updates], term: int | None) -> list[Updates]:
    """Return the updates with their sender's term."""
    return [msgspec.structs.replace(update, term=term) for update in updates]


def block_records(block: Blocks, topic: str, partitions: int, max_bytes: int) -> list[Outgoing]:
    """Return a block's updates as records: for each what `update_records` returns."""
    values, headers = encode_gone(block) if isinstance(block, PairsGone) else encode_block(block)
    homes = homes_of(block.users, partitions).tolist()
    # Headers and the key are short but for the strengths, of which each has an item in the value, no shorter than four
    # bytes; so what is far below the bound needs no exact look.
    room = (max_bytes - OVERHEAD_BYTES) // 16
    lists = np.ones(len(values), np.int64) if isinstance(block, PairsGone) else np.diff(block.indptr)
    if max(map(len, values), default=0) <= room and lists.max(initial=0) <= MOST_ITEMS:
        return list(map(Outgoing, repeat(topic), values, repeat(b"UP"), headers, homes))
    records: list[Outgoing] = []
    for at, value in enumerate(values):
        if len(value) <= room and lists[at] <= MOST_ITEMS:
            records.append(Outgoing(topic, value, b"UP", headers[at], homes[at]))
        else:
            records += update_records(block.update(at), topic, partitions, max_bytes)
    return records


def update_records(update: Update, topic: str, partitions: int, max_bytes: int) -> list[Outgoing]:
    """Return an update as one record, or as several where its list of items is too long for one.

    The parts have the vector and the input offset in common, so applying them one by one ends in the same state.

    Args:
        update: a user's or an item's message.
        topic: the update topic.
        partitions: its partitions; the ID chooses one.
        max_bytes: the largest record that the topic takes.
    """
    message = encode(update)
    if isinstance(update, (UserVector, UserGone)) and _is_too_long(message, len(update.items or ()), max_bytes):
        return [record for half in _halves(update) for record in update_records(half, topic, partitions, max_bytes)]
    return [
        Outgoing(
            topic=topic,
            key=message.key,
            value=message.value,
            headers=message.headers,
            partition=partition_of(_subject(update), partitions),
        )
    ]


def state_records(state: ItemState | AllSaid, topic: str, partitions: int) -> list[Outgoing]:
    """Return a state as a record for the item topic, in the partition of its item; that all is said, in every one."""
    message = encode_state(state)
    homes = range(partitions) if isinstance(state, AllSaid) else [partition_of(state.item, partitions)]
    return [Outgoing(topic, message.value, message.key, message.headers, home) for home in homes]


def progress_records(
    epoch: int,
    positions: Mapping[int, int],
    live: Mapping[int, bool],
    topic: str,
    partitions: int,
    term: int | None = None,
) -> list[Outgoing]:
    """Return a ``PROGRESS`` for every partition of the update topic."""
    message = encode(Progress(input=dict(positions), live=dict(live), epoch=epoch, term=term))
    return [
        Outgoing(topic=topic, key=message.key, value=message.value, headers=message.headers, partition=partition)
        for partition in range(partitions)
    ]


def dead_letter(record: Record, reason: str, topic: str) -> Outgoing:
    """Return the dead letter of an input record: its place as key, its value cut, reason, size and hash as headers."""
    value = record.value or b""
    return Outgoing(
        topic=topic,
        key=f"{record.partition}:{record.offset}".encode(),
        value=value[:DEAD_LETTER_BYTES],
        headers=(
            ("reason", reason.encode()),
            ("size", str(len(value)).encode()),
            ("sha256", hashlib.sha256(value).hexdigest().encode()),
        ),
        partition=0,
    )


def _is_too_long(message: Message, items: int, max_bytes: int) -> bool:
    """Say whether a message with so many items is to become two."""
    size = len(message.key) + len(message.value) + sum(len(name) + len(value) for name, value in message.headers)
    return items > MOST_ITEMS or (items > 1 and size + OVERHEAD_BYTES > max_bytes)


def _subject(update: Update) -> str:
    match update:
        case UserVector() | UserGone():
            return update.user
        case ItemVector() | ItemGone():
            return update.item
        case _:
            raise TypeError(update)


def _halves(update: UserVector | UserGone) -> tuple[UserVector | UserGone, UserVector | UserGone]:
    items = update.items or ()
    middle = len(items) // 2
    if isinstance(update, UserGone):
        return msgspec.structs.replace(update, items=items[:middle]), msgspec.structs.replace(
            update, items=items[middle:]
        )
    return (
        msgspec.structs.replace(update, items=items[:middle], strengths=update.strengths[:middle]),
        msgspec.structs.replace(update, items=items[middle:], strengths=update.strengths[middle:]),
    )
