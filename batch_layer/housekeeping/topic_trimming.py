"""Trims topics to what somebody still needs: looks up who reads them from where, and lets `trim_points` decide."""

from collections.abc import Callable, Collection, Sequence

import structlog

from batch_layer.housekeeping.trim_points import Offsets, input_needed, trim_points
from batch_layer.telemetry.metrics import Metrics
from oryx_py.errors import CorruptGeneration, UnsupportedFormat
from oryx_py.model.epochs.registry import EpochStarted, Registry
from oryx_py.model.history.commits import History
from oryx_py.ports import ArtefactStore, Clock, Consumer, TopicAdmin
from oryx_py.runtime.checkpoints import Checkpoints

__all__ = ["TopicTrimmer"]

log = structlog.get_logger("batch")


class TopicTrimmer:
    """Trims the input, the update and the item topic.

    Args:
        store, checkpoints, admin, clock, metrics: the ports, and what is counted; checkpoints None for none.
        new_consumer: makes a consumer of this group, or of none; closed here.
        input_topic, update_topic, items_topic: which topics.
        group_id: of the speed layer, under which Kafka has the position of dead letters.
        keep_s: how old a record is at least before it goes; 0 for any age.
        clocks_s: by how much Kafka's clock and the batch layer's may differ.
    """

    def __init__(
        self,
        *,
        store: ArtefactStore,
        checkpoints: ArtefactStore | None,
        admin: TopicAdmin,
        new_consumer: Callable[[str | None], Consumer],
        clock: Clock,
        metrics: Metrics,
        input_topic: str,
        update_topic: str,
        items_topic: str,
        group_id: str,
        keep_s: float,
        clocks_s: float,
    ) -> None:
        self._store, self._checkpoints, self._admin = store, checkpoints, admin
        self._new_consumer, self._clock, self._metrics = new_consumer, clock, metrics
        self._input, self._update, self._items, self._group_id = input_topic, update_topic, items_topic, group_id
        self._keep_s, self._clocks_s = keep_s, clocks_s

    def trim(
        self, registry: Registry, history: History, in_use: Sequence[EpochStarted], partitions: Sequence[int]
    ) -> None:
        """Trim each topic as far as nobody needs it.

        Args:
            registry: with the newest epoch.
            history: as of the newest commit.
            in_use: the epochs that somebody reads, or may begin with.
            partitions: of the input topic.

        Raises:
            OryxError: broker or store do not answer.
        """
        there = {entry.generation for entry in in_use if not registry.is_deleted(entry.generation)}
        self._trim(self._input, self._readers_of_input(there, history))
        taken = self._taken(in_use, partitions)
        self._trim(self._update, [*(entry.start for entry in in_use), *taken])
        self._trim_items(min(entry.time_ms for entry in in_use))

    def _trim_items(self, since_ms: int) -> None:
        """Trim what speed processes have told one another of epochs published before: nothing comes before its epoch.

        That is by Kafka's clock and the batch layer's, which may differ by so much.
        """
        if self._admin.partitions(self._items) is not None:
            before_ms = since_ms - int(self._clocks_s * 1000)
            self._trim(self._items, [self._admin.offsets_at(self._items, before_ms)])

    def _taken(self, in_use: Sequence[EpochStarted], partitions: Sequence[int]) -> list[Offsets]:
        """Where each checkpoint with which a start may begin goes on in the update topic."""
        if self._checkpoints is None:
            return []
        reader = Checkpoints(self._checkpoints, self._store, partitions)
        return [covered.update for covered in reader.all_covered(in_use)]

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
        if self._keep_s:
            since_ms = self._clock.now_ms() - int(self._keep_s * 1000)
            needed = [*needed, self._admin.offsets_at(topic, since_ms)]
        points = trim_points(start, needed)
        if not points:
            return
        self._admin.trim(topic, points)
        offsets = sum(point - start[partition] for partition, point in points.items())
        self._metrics.trimmed(topic, offsets)
        log.info("topic_trimmed", topic=topic, offsets=offsets, before=dict(sorted(points.items())))
