"""What the topics still have of somebody forgotten, record by record, in bounded memory."""

from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from oryx_py.cli.forget.finds import Finds
from oryx_py.cli.forget.subject import Forgotten, Named, Subject, may_name
from oryx_py.errors import BadInteraction, BadMessage
from oryx_py.events import parse_value
from oryx_py.messages import ItemGone, ItemVector, UserGone, UserVector, decode, partition_of
from oryx_py.messages.inbound import id_of, read_input
from oryx_py.ports import Clock, Consumer, Record, TopicAdmin
from oryx_py.runtime.reading import records_between

__all__ = [
    "GONE",
    "LETTERS",
    "MODELS",
    "RECORDS",
    "STATES",
    "UNREADABLE",
    "UPDATES",
    "retained",
    "scan_dead_letters",
    "scan_input",
    "scan_items",
    "scan_updates",
]

RECORDS: Final = "records"
UNREADABLE: Final = "unreadable records that have these bytes"
UPDATES: Final = "updates"
GONE: Final = "pairs that are gone, by name"
MODELS: Final = "models of an Oryx 2 batch layer, not looked into"
STATES: Final = "item states"
LETTERS: Final = "dead letters"

Told = Callable[[], None]
"""Called for each record, so that somebody can see how far it is."""


def retained(
    consumer: Consumer, admin: TopicAdmin, topic: str, clock: Clock, on_record: Told = lambda: None
) -> Iterator[Record]:
    """Iterate over all records that a topic has now, each partition's in order; what is trimmed meanwhile is gone.

    Raises:
        TopicsChanged: there is no such topic.
        BrokerUnavailable: no answer in time.
        LogGap: it was trimmed while it was read; begin again.
    """
    start, end = admin.start_offsets(topic), admin.end_offsets(topic)
    for record in records_between(consumer, topic, start, end, clock=clock):
        if record.offset < end[record.partition]:
            on_record()
            yield record


def scan_input(records: Iterator[Record], subject: Subject, forgotten: Forgotten) -> Finds:
    """Find the newest forgets, which ``forgotten`` is told, and what is below them."""
    finds = Finds()
    for record in records:
        partition = record.partition
        named = subject.named_by(record.key, record.value)
        if named is Named.NO:
            if subject.kind == "item" and _is_nobodys(record):
                forgotten.note(partition, record.offset, id_of(record.headers))
            continue
        if _is_forget(record, subject, forgotten):
            before = forgotten.offsets.get(partition)
            forgotten.add(partition, record.offset, record.timestamp_ms, id_of(record.headers))
            if forgotten.offsets.get(partition) != before:
                finds.settle(partition)
            continue
        old = forgotten.is_old(partition, record.offset) and partition in forgotten.offsets
        if subject.kind == "user":
            forgotten.note(partition, record.offset, id_of(record.headers))
        finds.add(RECORDS if named is Named.YES else UNREADABLE, partition, record.timestamp_ms, old=old)
    for partition in {partition for found in finds.since.values() for partition in found} - forgotten.offsets.keys():
        finds.settle(partition)  # never forgotten here, or nobody's partition
    return finds


def scan_updates(records: Iterator[Record], subject: Subject, forgotten: Forgotten) -> Finds:
    """Find updates that name the subject; those that say that it is gone are the topic's forgets.

    An item's own vectors are old below a forget in the same partition, or below the forget's time. That a user no
    longer knows an item is old like what he knows: it says that he did. Models of an Oryx 2 batch layer are not looked
    into.
    """
    finds = Finds()
    for record in records:
        partition, at_ms = record.partition, record.timestamp_ms
        model = record.key in (b"MODEL", b"MODEL-REF")
        if not model and not may_name(record.value, subject.encoded):
            continue
        try:
            update = decode(record.key, record.value, record.headers)
        except BadMessage:
            finds.add(MODELS if model else UPDATES, partition, at_ms, old=True)  # its bytes are there
            continue
        match update:
            case UserGone(items=None) | ItemGone():
                if _gone(update) == subject:
                    finds.settle(partition)
            case UserGone() if _names(subject, update.user, update.items or ()):
                if _old_update(update, forgotten):  # else it is the effect of an item's forget, or came after it
                    finds.add(GONE, partition, at_ms, old=True)
            case UserVector() if _names(subject, update.user, update.items):
                finds.add(UPDATES, partition, at_ms, old=_old_update(update, forgotten))
            case ItemVector() if _names(_turned(subject), update.item, update.users):
                finds.add(UPDATES, partition, at_ms, old=not forgotten.complete or at_ms <= forgotten.at_ms)
            case _:
                pass
    return finds


def scan_items(records: Iterator[Record], subject: Subject, forgotten: Forgotten) -> Finds:
    """Find states of the internal item topic that name the subject, also those of pairs that are gone."""
    finds = Finds()
    for record in records:
        partition, at_ms = record.partition, record.timestamp_ms
        if not may_name(record.key, subject.encoded):
            continue
        try:
            item, user = msgspec.json.decode(record.key or b"", type=tuple[str, str])
            if not item or not user or (user if subject.kind == "user" else item) != subject.id:
                continue  # another's, or an item's forget, or how far a partition's users are
            state = msgspec.json.decode(record.value or b"null", type=_State | None)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            finds.add(STATES, partition, at_ms, old=True)  # nothing says that it is about another
            continue
        if state is None:
            finds.add(GONE, partition, at_ms, old=not forgotten.complete or at_ms <= forgotten.at_ms)
            continue
        old = forgotten.is_old(partition_of(user, forgotten.partitions), state.input)
        finds.add(GONE if state.w is None else STATES, partition, at_ms, old=old)
    return finds


def scan_dead_letters(records: Iterator[Record], subject: Subject, forgotten: Forgotten) -> Finds:
    """Find dead letters of records below the forget that name the subject, or have its bytes."""
    finds = Finds()
    for record in records:
        named = subject.named_by(None, record.value)
        if named is not Named.NO:
            place = _place(record.key)
            old = place is None or forgotten.is_old(*place) or place[0] not in forgotten.offsets
            what = LETTERS if named is Named.YES else UNREADABLE
            finds.add(what, record.partition, record.timestamp_ms, old=old)
    return finds


class _State(msgspec.Struct):
    """What is read of an item's state; ``w`` None: the pair is gone."""

    input: int
    w: float | None = None


def _is_forget(record: Record, subject: Subject, forgotten: Forgotten) -> bool:
    try:
        return subject.is_forget(read_input(record.value, record.partition, forgotten.partitions))
    except BadInteraction:
        return False


def _is_nobodys(record: Record) -> bool:
    """Whether a record with a key has no user, as items' forgets have none: among such keys are compared."""
    value = record.value or b""
    if not record.headers or not value.lstrip(b'[" ').startswith((b",", b"null")):
        return False
    try:
        return not parse_value(value).user
    except BadInteraction:
        return False


def _names(subject: Subject, user: str, items: tuple[str, ...]) -> bool:
    return subject.id == user if subject.kind == "user" else subject.id in items


def _turned(subject: Subject) -> Subject:
    """An item's update names items as a user's names users."""
    return Subject("item" if subject.kind == "user" else "user", subject.id)


def _gone(update: UserGone | ItemGone) -> Subject | None:
    """Who is forgotten altogether."""
    if isinstance(update, ItemGone):
        return Subject("item", update.item)
    return Subject("user", update.user) if update.items is None else None


def _old_update(update: UserVector | UserGone, forgotten: Forgotten) -> bool:
    if update.input is None:
        return True
    return forgotten.is_old(partition_of(update.user, forgotten.partitions), update.input)


def _place(key: bytes | None) -> tuple[int, int] | None:
    """The input partition and offset that a dead letter's key names."""
    partition, _, offset = (key or b"").partition(b":")
    return (int(partition), int(offset)) if partition.isdigit() and offset.isdigit() else None
