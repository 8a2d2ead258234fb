"""What follows an epoch: topics are trimmed and generations deleted. Step (h) of the protocol.

What goes is decided in `batch_layer.trimming` and `batch_layer.retention`; this module looks up their facts, and acts.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import structlog

from batch_layer.metrics import Metrics
from batch_layer.retention import outlived
from batch_layer.trimming import Offsets, input_needed, trim_points
from oryx_py.adapters.registry_log import RegistryLog
from oryx_py.errors import CorruptGeneration, OryxError, UnsupportedFormat
from oryx_py.model.epochs import Announcements, epochs_in_use, epochs_to_hold
from oryx_py.model.history import History
from oryx_py.model.registry import EpochStarted, GenerationState, Registry
from oryx_py.ports import ArtefactStore, Clock, Consumer, TopicAdmin
from oryx_py.runtime.announcements import read_announcements
from oryx_py.runtime.checkpoints import Checkpoints, epoch_of

__all__ = ["Housekeeping", "Kept"]

log = structlog.get_logger("batch")

_TAIL_MS = 30_000
"""A speed layer that runs says each second what is live."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What the settings keep.

    ``trim``: whether topics are trimmed at all, and ``trim_keep_s`` how old a record is at least before it goes.
    ``generations``: how many of the newest. ``overlap_s``: how long an epoch is held after the next is live.
    """

    trim: bool = True
    trim_keep_s: float = 86_400.0
    generations: int = 5
    overlap_s: float = 60.0
    clocks_s: float = 3_600.0


class Housekeeping:
    """Trims topics, and deletes generations that have been outlived.

    Nothing depends on it: what fails is logged, and the next run does it. Deleting is a commit of the registry first,
    so that a rollback at the same time either sees it or wins.

    Args:
        registry, store, admin, clock, metrics: the ports, and what is counted.
        new_consumer: makes a consumer of this group, or of none; closed here.
        input_topic, update_topic, items_topic: which topics.
        group_id: of the speed layer, under which Kafka has the position of dead letters.
        kept: what the settings say.
        checkpoints: of the speed layer; None for none.
    """

    def __init__(
        self,
        *,
        registry: RegistryLog,
        store: ArtefactStore,
        admin: TopicAdmin,
        new_consumer: Callable[[str | None], Consumer],
        clock: Clock,
        metrics: Metrics,
        input_topic: str,
        update_topic: str,
        items_topic: str,
        group_id: str,
        kept: Kept,
        checkpoints: ArtefactStore | None = None,
    ) -> None:
        self._checkpoints = checkpoints
        self._registry, self._store, self._admin = registry, store, admin
        self._new_consumer, self._clock, self._metrics = new_consumer, clock, metrics
        self._input, self._update, self._items, self._group_id = input_topic, update_topic, items_topic, group_id
        self._kept = kept

    def __call__(self, registry: Registry, history: History) -> None:
        """Do step (h), as far as it can be done now.

        Args:
            registry: with the newest epoch.
            history: as of the newest commit.
        """
        if not registry.epochs:
            return
        try:
            partitions = sorted(self._admin.start_offsets(self._input))
            told = self._announced(registry.epochs, partitions)
            now_ms, overlap_s = self._clock.now_ms(), self._kept.overlap_s
            held = epochs_to_hold(registry.epochs, told, partitions, now_ms=now_ms, overlap_s=overlap_s)
            if self._kept.trim:
                in_use = epochs_in_use(registry.epochs, told, partitions, now_ms=now_ms, overlap_s=overlap_s)
                there = {entry.generation for entry in in_use if not registry.is_deleted(entry.generation)}
                self._trim(self._input, self._readers_of_input(there, history))
                taken = self._taken(in_use, partitions)
                self._trim(self._update, [*(entry.start for entry in in_use), *taken])
                self._trim_items(min(entry.time_ms for entry in in_use))
            self._forget_checkpoints(min(entry.epoch for entry in (*held, *registry.epochs[-2:])))
            self._delete(registry, {entry.generation for entry in (*held, *registry.epochs[-2:])})
        except OryxError as trouble:
            log.warning("housekeeping_put_off", reason=str(trouble), hint="the next run does it")

    def _trim_items(self, since_ms: int) -> None:
        """Trim what speed processes have told one another of epochs published before: nothing comes before its epoch.

        That is by Kafka's clock and the batch layer's, which may differ by so much.
        """
        if self._admin.partitions(self._items) is not None:
            before_ms = since_ms - int(self._kept.clocks_s * 1000)
            self._trim(self._items, [self._admin.offsets_at(self._items, before_ms)])

    def _announced(self, epochs: Sequence[EpochStarted], partitions: Sequence[int]) -> Announcements:
        """What was announced, read from as far back as it takes to find a live epoch: the last seconds, as a rule."""
        first, end = self._admin.start_offsets(self._update), self._admin.end_offsets(self._update)
        tail = self._admin.offsets_at(self._update, self._clock.now_ms() - _TAIL_MS)
        announcements = Announcements(len(end))
        consumer = self._new_consumer(None)
        try:
            for start in (tail, epochs[-2:][0].start, epochs[0].start):
                begin = {partition: max(start.get(partition, 0), first[partition]) for partition in end}
                announcements = read_announcements(consumer, self._update, epochs, begin, end, clock=self._clock)
                if any(announcements.of(entry.epoch).is_live(partitions) for entry in epochs):
                    break
        finally:
            consumer.close()
        return announcements

    def _taken(self, in_use: Sequence[EpochStarted], partitions: Sequence[int]) -> list[Offsets]:
        """Where each checkpoint with which a start may begin goes on in the update topic."""
        if self._checkpoints is None:
            return []
        reader = Checkpoints(self._checkpoints, self._store, partitions)
        return [covered.update for covered in reader.all_covered(in_use)]

    def _forget_checkpoints(self, before: int) -> None:
        """Delete those of epochs that nobody holds any more, where no speed layer does it."""
        if self._checkpoints is None:
            return
        for name in self._checkpoints.generations():
            epoch = epoch_of(name)
            if epoch is not None and epoch < before:
                self._checkpoints.delete(name)

    def _readers_of_input(self, generations: Collection[str], history: History) -> list[Offsets]:
        """The batch layer, the speed layer on each generation, and the writing of dead letters."""
        speed = [self._needed_by(name) for name in sorted(generations)]
        return [history.offsets, *speed, self._dead_letters_written()]

    def _needed_by(self, generation: str) -> Offsets:
        try:
            return input_needed(self._store.manifest(generation))
        except (CorruptGeneration, UnsupportedFormat) as trouble:
            log.warning("input_not_trimmed", generation=generation, reason=str(trouble))
            return {}

    def _dead_letters_written(self) -> dict[int, int]:
        """Up to where they are; partitions without a position are left out, as they begin at the topic's start."""
        where = [(self._input, partition) for partition in self._admin.start_offsets(self._input)]
        consumer = self._new_consumer(self._group_id)
        try:
            committed = consumer.committed(where)
        finally:
            consumer.close()
        return {partition: offset for (_, partition), offset in committed.items() if offset is not None}

    def _trim(self, topic: str, needed: Sequence[Offsets]) -> None:
        start = self._admin.start_offsets(topic)
        if self._kept.trim_keep_s:
            since_ms = self._clock.now_ms() - int(self._kept.trim_keep_s * 1000)
            needed = [*needed, self._admin.offsets_at(topic, since_ms)]
        points = trim_points(start, needed)
        if not points:
            return
        self._admin.trim(topic, points)
        offsets = sum(point - start[partition] for partition, point in points.items())
        self._metrics.trimmed(topic, offsets)
        log.info("topic_trimmed", topic=topic, offsets=offsets, before=_sorted(points))

    def _delete(self, registry: Registry, in_use: Collection[str]) -> None:
        names = outlived(registry, self._store.generations(), in_use, self._kept.generations)
        if not names:
            return
        states = [registry.generations[name] for name in names if not registry.is_deleted(name)]
        if states:
            self._registry.append(
                registry, [GenerationState(each.generation, each.state, each.reason, deleted=True) for each in states]
            )
        for name in names:
            self._store.delete(name)
            log.info("generation_deleted", generation=name, hint="store.keep_generations says how many are kept")


def _sorted(points: Mapping[int, int]) -> dict[int, int]:
    return dict(sorted(points.items()))
