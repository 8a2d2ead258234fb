"""Messages of somebody who has been replaced and does not know it: they must change nothing.

* ``MODEL-REF`` of a publisher whose epoch the registry has not taken, or of an epoch long gone;
* ``PROGRESS`` sent once more, or of an epoch that does not exist;
* updates of users that are older than what was sent since, as from the partition's former owner.
"""

from typing import TYPE_CHECKING

from oryx_py.messages import ModelRef, Progress, encode
from oryx_py.ports import Outgoing, Record

if TYPE_CHECKING:
    from tests.simulation.world import World

__all__ = ["stale_message"]


def stale_message(world: "World") -> Outgoing | None:
    """Return one for the update topic, None where there is none that could be."""
    match world.rng.randrange(4):
        case 0:
            return _unknown_epoch(world)
        case 1:
            return _again(world, world.rng.choice([b"MODEL-REF", b"PROGRESS"]))
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
        message = encode(Progress(inputs, dict.fromkeys(inputs, True), registry.next_epoch + 5))
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


def _copy(record: Record) -> Outgoing:
    return Outgoing(record.topic, record.value, record.key, record.headers, record.partition)
