"""What trimming and deleting wait for, asked of those who say it: facts for until when something is kept."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from batch_layer.housekeeping.generation_retention import outlived
from oryx_py.config import Settings
from oryx_py.errors import ConfigError
from oryx_py.model.epochs.announcements import Announcements
from oryx_py.model.epochs.registry import EpochStarted, GenerationState, Registry
from oryx_py.ports import Clock, Consumer, TopicAdmin
from oryx_py.runtime.announcements import read_announcements

__all__ = ["Standing", "generations_until_deleted", "standing_of"]

_TAIL_MS = 30_000
"""A speed layer that runs says each second what is live."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What layers have done so far, without which trimming waits.

    ``published``: whether there is an epoch. ``live``: whether one is live in all input partitions. ``unwritten``: the
    input partitions of which the speed layer's group has no position, up to which dead letters are written.
    """

    published: bool = True
    live: bool = True
    unwritten: tuple[int, ...] = ()


def standing_of(
    settings: Settings,
    registry: Registry,
    admin: TopicAdmin,
    new_consumer: Callable[[str | None], Consumer],
    clock: Clock,
) -> Standing:
    """Ask Kafka.

    Raises:
        OryxError: it does not answer.
    """
    topic = settings.input.topic
    partitions = sorted(admin.start_offsets(topic))
    unwritten = _without_position(topic, partitions, new_consumer(settings.speed.group_id))
    if not registry.epochs or admin.partitions(settings.update.topic) is None:
        return Standing(published=bool(registry.epochs), live=False, unwritten=unwritten)
    consumer = new_consumer(None)
    try:
        live = _is_live(registry.epochs, settings.update.topic, partitions, admin, consumer, clock)
    finally:
        consumer.close()
    return Standing(live=live, unwritten=unwritten)


def generations_until_deleted(registry: Registry, stored: Sequence[str], keep: int) -> dict[str, int]:
    """Return by stored generation after how many more published ones it is deleted; others than these never are.

    Found by publishing them, so to speak: after a rollback those stay that one would go back to.

    Args:
        registry: as it is now.
        stored: the generations of the store.
        keep: how many it keeps.
    """
    found: dict[str, int] = {}
    there, newest = list(stored), max(stored, default="")
    for number in range(1, keep + len(there) + 3):
        name = f"{newest}~{number:09d}"  # is the newest by its name
        epoch = EpochStarted(registry.next_epoch, name, {}, 0)
        registry = registry.after([GenerationState(name, "published", ""), epoch])
        there.append(name)
        gone = outlived(registry, there, {entry.generation for entry in registry.epochs[-2:]}, keep)
        found |= {each: number for each in gone if each in stored}
        there = [each for each in there if each not in gone]
    return found


def _without_position(topic: str, partitions: Sequence[int], consumer: Consumer) -> tuple[int, ...]:
    """Which partitions the consumer's group has no position in; none where asking for it is not allowed."""
    try:
        found = consumer.committed([(topic, partition) for partition in partitions])
    except ConfigError:
        return ()
    finally:
        consumer.close()
    return tuple(partition for partition in partitions if found.get((topic, partition)) is None)


def _is_live(
    epochs: Sequence[EpochStarted],
    topic: str,
    partitions: Sequence[int],
    admin: TopicAdmin,
    consumer: Consumer,
    clock: Clock,
) -> bool:
    """Whether any epoch is live, read from as far back as it takes to find one."""
    first, end = admin.start_offsets(topic), admin.end_offsets(topic)
    tail = admin.offsets_at(topic, clock.now_ms() - _TAIL_MS)
    for start in (tail, epochs[-2:][0].start, epochs[0].start):
        begin = {partition: max(start.get(partition, 0), first[partition]) for partition in end}
        told: Announcements = read_announcements(consumer, topic, epochs, begin, end, clock=clock)
        if told.live(partitions):
            return True
    return False
