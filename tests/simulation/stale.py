"""Messages of somebody who has been replaced and does not know it: they must change nothing.

* ``MODEL-REF`` of a publisher whose epoch the registry has not taken, or of an epoch long gone;
* ``PROGRESS`` sent once more, or of an epoch that does not exist;
* updates of users that are older than what was sent since, as from the partition's former owner;
* states of items sent once more;
* updates and ``PROGRESS`` of a former owner that has read further than who took over has told yet.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec.structs import replace

from oryx_py.messages import ItemVector, ModelRef, Progress, Update, UserGone, UserVector, decode, encode, partition_of
from oryx_py.ports import Outgoing, Record

if TYPE_CHECKING:
    from tests.simulation.world import World

__all__ = ["stale_message"]

_NEVER = 1_000
"""So many epochs no run comes to."""


def stale_message(world: "World") -> Outgoing | None:
    """Return one for the update topic, None where there is none that could be."""
    match world.rng.randrange(7 if world.plan.named else 6):
        case 0:
            return _unknown_epoch(world)
        case 1:
            return _again(world, world.rng.choice([b"MODEL-REF", b"PROGRESS"]))
        case 2 | 3:
            return _ahead(world)
        case 6:
            states = world.archive.get(world.ITEMS, [])
            return _copy(world.rng.choice(states)) if states else None
        case _:
            return _overtaken(world)


def _unknown_epoch(world: "World") -> Outgoing | None:
    registry = world.registry()
    if not registry.epochs:
        return None
    epoch = registry.next_epoch + world.rng.choice([0, 0, 5])
    ends = {p: log.end for p, log in enumerate(world.log.topic(world.UPDATE).partitions)}
    if world.rng.random() < 0.5:
        generation = world.rng.choice(registry.epochs).generation
        message = encode(ModelRef(f"file:///nowhere/{generation}", epoch, generation, ends))
    else:
        inputs = {p: log.end for p, log in enumerate(world.log.topic(world.INPUT).partitions)}
        message = encode(Progress(inputs, dict.fromkeys(inputs, True), registry.next_epoch + _NEVER))
    return Outgoing(world.UPDATE, message.value, message.key, message.headers, world.rng.choice(list(ends)))


def _again(world: "World", key: bytes) -> Outgoing | None:
    found = [record for record in world.archive.get(world.UPDATE, []) if record.key == key]
    return _copy(world.rng.choice(found)) if found else None


def _overtaken(world: "World") -> Outgoing | None:
    """An update of a user that a later one of the same epoch has overtaken."""
    newest: dict[tuple[bytes, bytes], int] = {}
    found: list[Record] = []
    for record in reversed(world.archive.get(world.UPDATE, [])):
        headers = dict(record.headers)
        if record.key != b"UP" or "input" not in headers or record.value is None:
            continue
        whose = headers["epoch"], record.value.split(b'"')[3]
        offset = int(headers["input"])
        if newest.setdefault(whose, offset) > offset:
            found.append(record)
    return _copy(world.rng.choice(found)) if found else None


def _ahead(world: "World") -> Outgoing | None:
    """What a former owner may say that has read the input to its end, of somebody of whom there was an update.

    Only where readers of its epoch have seen that it was replaced, since what it says is not true.
    """
    starts = {entry.epoch: entry.start for entry in world.registry().epochs}
    fences: list[tuple[Record, Progress]] = []
    found: list[tuple[int, Update]] = []
    for record in world.archive.get(world.UPDATE, []):
        if dict(record.headers).get("term") is None or record.key == b"MODEL-REF":
            continue
        update = decode(record.key, record.value, record.headers)
        if isinstance(update, Progress):
            fences.append((record, update))
        found.append((record.partition, update))
    inputs = {p: log.end for p, log in enumerate(world.log.topic(world.INPUT).partitions)}
    world.rng.shuffle(found)
    for at, update in found:
        said = _said_ahead(update, inputs)
        if said is None:
            continue
        partition, message = said
        first = starts.get(message.epoch, {}).get(at, 0)
        spoken = [
            fence.term or 0
            for record, fence in fences
            if (record.partition, record.offset >= first) == (at, True) and partition in fence.partitions
        ]
        if (message.term or 0) < max(spoken, default=-1):
            encoded = encode(message)
            return Outgoing(world.UPDATE, encoded.value, encoded.key, encoded.headers, at)
    return None


def _said_ahead(update: Update, inputs: Mapping[int, int]) -> tuple[int, Progress | UserGone | ItemVector] | None:
    """Return an input partition, and what its former owner may say of it; None for nothing."""
    match update:
        case Progress():
            partition = min(update.partitions)
            return partition, Progress({partition: inputs[partition]}, {}, update.epoch, update.term)
        case UserVector() if update.vector is not None and update.items:
            home = partition_of(update.user, len(inputs))
            return home, UserGone(update.user, update.items, update.epoch, inputs[home], update.term)
        case ItemVector() if update.vector is not None:
            return partition_of(update.item, len(inputs)), replace(update, vector=-update.vector)
        case _:
            return None


def _copy(record: Record) -> Outgoing:
    return Outgoing(record.topic, record.value, record.key, record.headers, record.partition)
