"""What the topics still have of somebody forgotten, record by record, in bounded memory."""

from collections.abc import Callable, Iterator, Mapping

import msgspec

from oryx_py.cli.forget.proof import Held
from oryx_py.cli.forget.subject import Forgotten, Subject, fields_of, may_name
from oryx_py.errors import BadInteraction, BadMessage
from oryx_py.messages import ItemGone, ItemVector, UserGone, UserVector, decode, partition_of
from oryx_py.messages.inbound import id_of, read_input
from oryx_py.ports import Clock, Consumer, Record, TopicAdmin
from oryx_py.runtime.reading import records_between

__all__ = ["in_words", "retained", "scan_dead_letters", "scan_input", "scan_items", "scan_updates"]

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


def scan_input(records: Iterator[Record], subject: Subject, forgotten: Forgotten) -> dict[int, Held]:
    """Find the newest forgets, which ``forgotten`` is told, and what is below them.

    Returns:
        By partition what it has of the subject.
    """
    found: dict[int, Held] = {}
    since: dict[int, Held] = {}
    for record in records:
        partition = record.partition
        if not subject.named_by(record.key, record.value):
            continue
        if _is_forget(record, subject, forgotten):
            before = forgotten.offsets.get(partition)
            forgotten.add(partition, record.offset, record.timestamp_ms, id_of(record.headers))
            if forgotten.offsets.get(partition) != before:
                _settle(found, since, partition)
        elif forgotten.is_old(partition, record.offset) and partition in forgotten.offsets:
            found.setdefault(partition, Held()).add(record.timestamp_ms)
        else:
            since.setdefault(partition, Held()).add(record.timestamp_ms)
    for partition in list(since):
        if partition in forgotten.offsets:
            found.setdefault(partition, Held()).again += since[partition].count
        else:  # never forgotten here, or nobody's partition
            _settle(found, since, partition)
    return found


def scan_updates(records: Iterator[Record], subject: Subject, forgotten: Forgotten) -> dict[int, Held]:
    """Find updates that name the subject; those that say that it is gone are the topic's forgets.

    An item's own vectors are old below a forget in the same partition, or below the forget's time.
    """
    found: dict[int, Held] = {}
    since: dict[int, Held] = {}
    for record in records:
        if not may_name(record.value, subject.encoded):
            continue
        partition = record.partition
        try:
            update = decode(record.key, record.value, record.headers)
        except BadMessage:
            found.setdefault(partition, Held()).add(record.timestamp_ms)  # its bytes are there
            continue
        match update:
            case UserGone() | ItemGone():
                if _gone(update) == subject:
                    _settle(found, since, partition)
            case UserVector() if _names(subject, update.user, update.items):
                old = _old_update(update, forgotten)
                (found if old else since).setdefault(partition, Held()).add(record.timestamp_ms)
            case ItemVector() if _names(_turned(subject), update.item, update.users):
                old = not forgotten.complete or record.timestamp_ms <= forgotten.at_ms
                (found if old else since).setdefault(partition, Held()).add(record.timestamp_ms)
            case _:
                pass
    for partition, held in since.items():
        found.setdefault(partition, Held()).again += held.count
    return found


def scan_items(records: Iterator[Record], subject: Subject, forgotten: Forgotten) -> dict[int, Held]:
    """Find states of the internal item topic that name the subject; those of a pair that is gone are forgets."""
    found: dict[int, Held] = {}
    for record in records:
        if not may_name(record.key, subject.encoded):
            continue
        held = found.setdefault(record.partition, Held())
        try:
            item, user = msgspec.json.decode(record.key or b"", type=tuple[str, str])
            if (user if subject.kind == "user" else item) != subject.id:
                continue
            state = msgspec.json.decode(record.value or b"null", type=_State | None)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            held.add(record.timestamp_ms)  # nothing says that it is about another
            continue
        if state is None or state.w is None:
            continue
        if forgotten.is_old(partition_of(user, forgotten.partitions), state.input):
            held.add(record.timestamp_ms)
        else:
            held.again += 1
    return {partition: held for partition, held in found.items() if held.count or held.again}


def scan_dead_letters(records: Iterator[Record], subject: Subject, forgotten: Forgotten) -> dict[int, Held]:
    """Find dead letters of records below the forget that name the subject, as far as their fields can be told."""
    found: dict[int, Held] = {}
    for record in records:
        place = _place(record.key)
        if not subject.named_by(None, record.value) and not _cut_off(record.value, subject):
            continue
        held = found.setdefault(record.partition, Held())
        if place is None or forgotten.is_old(*place) or place[0] not in forgotten.offsets:
            held.add(record.timestamp_ms)
        else:
            held.again += 1
    return found


class _State(msgspec.Struct):
    """What is read of an item's state; ``w`` None: the pair is gone."""

    input: int
    w: float | None = None


def _is_forget(record: Record, subject: Subject, forgotten: Forgotten) -> bool:
    try:
        return subject.is_forget(read_input(record.value, record.partition, forgotten.partitions))
    except BadInteraction:
        return False


def _settle(found: dict[int, Held], since: dict[int, Held], partition: int) -> None:
    """What came before a forget is old."""
    if (held := since.pop(partition, None)) is not None:
        found.setdefault(partition, Held()).add(held.newest_ms, held.count)


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


def _old_update(update: UserVector, forgotten: Forgotten) -> bool:
    if update.input is None:
        return True
    return forgotten.is_old(partition_of(update.user, forgotten.partitions), update.input)


def _place(key: bytes | None) -> tuple[int, int] | None:
    """The input partition and offset that a dead letter's key names."""
    partition, _, offset = (key or b"").partition(b":")
    return (int(partition), int(offset)) if partition.isdigit() and offset.isdigit() else None


def _cut_off(value: bytes | None, subject: Subject) -> bool:
    """Whether a value that was cut in the middle of a JSON array has the subject in what is left of it."""
    if value is None or value[:1] != b"[" or fields_of(value):
        return False
    return msgspec.json.encode(subject.id) in value


def in_words(held: Mapping[int, Held]) -> str:
    """Return which partitions have how many: ``0: 12, 3: 1``."""
    return ", ".join(f"{partition}: {each.count:,}" for partition, each in sorted(held.items()) if each.count)
