"""What follows an epoch: topics are trimmed and generations deleted. Step (h) of the protocol.

What goes is decided in `batch_layer.housekeeping.trim_points` and `batch_layer.housekeeping.generation_retention`; this
module and `batch_layer.housekeeping.topic_trimming` look up their facts, and act.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import structlog

from batch_layer.housekeeping.generation_retention import outlived
from batch_layer.housekeeping.topic_trimming import TopicTrimmer
from batch_layer.telemetry.metrics import Metrics
from oryx_py.adapters.commit_logs.registry_log import RegistryLog
from oryx_py.errors import OryxError
from oryx_py.model.epochs.announcements import Announcements, epochs_in_use, epochs_to_hold
from oryx_py.model.epochs.registry import EpochStarted, GenerationState, Registry
from oryx_py.model.history.commits import History
from oryx_py.ports import ArtefactStore, Clock, Consumer, TopicAdmin
from oryx_py.runtime.announcements import read_announcements
from oryx_py.runtime.checkpoints import epoch_of

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
        self._new_consumer, self._clock = new_consumer, clock
        self._input, self._update = input_topic, update_topic
        self._kept = kept
        self._trimmer = TopicTrimmer(
            store=store,
            checkpoints=checkpoints,
            admin=admin,
            new_consumer=new_consumer,
            clock=clock,
            metrics=metrics,
            input_topic=input_topic,
            update_topic=update_topic,
            items_topic=items_topic,
            group_id=group_id,
            keep_s=kept.trim_keep_s,
            clocks_s=kept.clocks_s,
        )

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
                self._trimmer.trim(registry, history, in_use, partitions)
            self._forget_checkpoints(min(entry.epoch for entry in (*held, *registry.epochs[-2:])))
            self._delete(registry, {entry.generation for entry in (*held, *registry.epochs[-2:])})
        except OryxError as trouble:
            log.warning("housekeeping_put_off", reason=str(trouble), hint="the next run does it")

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

    def _forget_checkpoints(self, before: int) -> None:
        """Delete those of epochs that nobody holds any more, where no speed layer does it."""
        if self._checkpoints is None:
            return
        for name in self._checkpoints.generations():
            epoch = epoch_of(name)
            if epoch is not None and epoch < before:
                self._checkpoints.delete(name)

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
