"""Epochs: a commit of the registry makes one, ``MODEL-REF`` says so. Steps (f) and (g) of the protocol."""

from collections.abc import Callable, Sequence

import structlog

from oryx_py.adapters.commit_logs.registry_log import RegistryLog
from oryx_py.errors import BadMessage, BrokerUnavailable
from oryx_py.messages import ModelRef, decode, encode
from oryx_py.model.epochs.registry import Entry, EpochStarted, GenerationState, Registry
from oryx_py.ports import ArtefactStore, Clock, Consumer, EndOfPartition, Producer, TopicAdmin

__all__ = ["Publisher"]

log = structlog.get_logger("batch")

_PATIENCE_S = 30.0


class Publisher:
    """Makes epochs, and announces them in every partition of the update topic.

    Args:
        registry: where epochs are.
        store: for the generations' URIs.
        producer: idempotent, and outside transactions: an open one would hide every later message from the readers.
        admin: for the update topic's end.
        new_consumer: reads the update topic; the caller of this function closes it.
        topic: the update topic.
        clock: for the epochs' times and the patience with a silent broker.
    """

    def __init__(
        self,
        *,
        registry: RegistryLog,
        store: ArtefactStore,
        producer: Producer,
        admin: TopicAdmin,
        new_consumer: Callable[[], Consumer],
        topic: str,
        clock: Clock,
    ) -> None:
        self._registry = registry
        self._store = store
        self._producer = producer
        self._admin = admin
        self._new_consumer = new_consumer
        self._topic = topic
        self._clock = clock

    def start_epoch(self, seen: Registry, generation: str, *, reason: str = "", also: Sequence[Entry] = ()) -> Registry:
        """Step (f): publish a generation as the next epoch, in one commit; returns the registry with it.

        Args:
            seen: the registry that this was decided upon.
            generation: complete in the store.
            reason: why, where it is not the usual course.
            also: further entries of the same commit.

        Raises:
            CommitConflict: the registry has changed since.
            BrokerUnavailable: the update topic's end cannot be had.
        """
        epoch = EpochStarted(
            epoch=seen.next_epoch,
            generation=generation,
            start=self._admin.end_offsets(self._topic),
            time_ms=self._clock.now_ms(),
            reason=reason,
        )
        entries: list[Entry] = [GenerationState(generation, "published", reason)]
        if seen.newest_epoch is not None and seen.newest_epoch.generation != generation:
            entries.append(GenerationState(seen.newest_epoch.generation, "retired", reason))
        registry = self._registry.append(seen, [*entries, *also, epoch])
        log.info("epoch_started", epoch=epoch.epoch, generation=generation, reason=reason or None)
        return registry

    def announce(self, epoch: EpochStarted) -> list[int]:
        """Step (g): send ``MODEL-REF`` to the partitions that do not have it at or after ``from``; returns these.

        Raises:
            BrokerUnavailable: not acknowledged, or not readable.
        """
        missing = self._unannounced(epoch)
        message = encode(
            ModelRef(
                uri=self._store.uri(epoch.generation),
                epoch=epoch.epoch,
                generation=epoch.generation,
                start=epoch.start,
            )
        )
        for partition in missing:
            self._producer.send(
                self._topic, message.value, key=message.key, headers=message.headers, partition=partition
            )
        self._producer.flush(_PATIENCE_S)
        return missing

    def _unannounced(self, epoch: EpochStarted) -> list[int]:
        """Partitions of the update topic without the epoch's ``MODEL-REF``, which stands at ``from`` or soon after."""
        first = self._admin.start_offsets(self._topic)
        end = self._admin.end_offsets(self._topic)
        start = {partition: max(epoch.start.get(partition, 0), first[partition]) for partition in end}
        waiting = {partition for partition, stop in end.items() if start[partition] < stop}
        announced: set[int] = set()
        consumer = self._new_consumer()
        try:
            consumer.assign({(self._topic, partition): start[partition] for partition in waiting})
            deadline = self._clock.monotonic() + _PATIENCE_S
            while waiting:
                events = consumer.poll(1_000, 0.5)
                if events:
                    deadline = self._clock.monotonic() + _PATIENCE_S
                elif self._clock.monotonic() > deadline:
                    raise BrokerUnavailable(f"nothing could be read from {self._topic} for {_PATIENCE_S:g} s")
                for event in events:
                    if isinstance(event, EndOfPartition):
                        waiting.discard(event.partition)
                    elif _is_of(epoch, event.key, event.value, event.headers):
                        waiting.discard(event.partition)
                        announced.add(event.partition)
                positions = consumer.positions()
                waiting = {partition for partition in waiting if positions[(self._topic, partition)] < end[partition]}
        finally:
            consumer.close()
        return sorted(end.keys() - announced)


def _is_of(epoch: EpochStarted, key: bytes | None, value: bytes | None, headers: tuple[tuple[str, bytes], ...]) -> bool:
    if key != b"MODEL-REF":
        return False
    try:
        update = decode(key, value, headers)
    except BadMessage:
        return False
    return isinstance(update, ModelRef) and update.epoch == epoch.epoch and update.generation == epoch.generation
