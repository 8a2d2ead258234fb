"""Follows the update topic for one epoch."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from oryx_py.errors import BadMessage, OryxError, Stop
from oryx_py.messages import Update
from oryx_py.ports import Consumer, EndOfPartition, Record
from serving_layer.epoch_sources.epoch_source import EpochReader

__all__ = ["Chunk", "UpdateFollower"]

log = structlog.get_logger("serving")

CHUNK_RECORDS = 64
_CHUNK_ITEMS = 2_000
"""Applying so many records, or so many items of histories in them, takes the loop about a millisecond."""
_CHUNKS_AHEAD = 2
_POLL_S = 0.25


@dataclass(slots=True)
class Chunk:
    """What was read at once, in order."""

    updates: list[tuple[int, Update]] = field(default_factory=list)
    """With the update partition of each; only the epoch's own."""
    bad: list[str] = field(default_factory=list)
    """Where messages could not be read, and why."""
    new_epoch: bool = False
    """A message of another epoch's beginning was among them."""
    caught_up: bool = False
    """All that the topic had when following began is read."""
    fraction: float = 0.0
    """How much of that is read, 0 … 1."""
    positions: dict[int, int] = field(default_factory=dict)
    """By partition, where to go on after it."""


class UpdateFollower:
    """Reads the update topic in a thread of its own, from an epoch's start, and hands the epoch's messages to the loop.

    Each epoch has its own: what one needs from the beginning is read again from Kafka instead of kept in memory, and
    the epoch that is served stays as fresh as ever meanwhile. At most two chunks wait for the loop.

    Args:
        new_consumer: makes the consumer, in the thread that uses it.
        topic: the update topic.
        epoch: the number of the one that is followed.
        reader: which messages to hand over.
        start: by partition, where to begin.
        end: by partition, the topic's end when following begins.
        deliver: called on the loop with each chunk; must not raise.
        stalled: called on the loop, once, when nothing more will come: with the reason, and whether that is final, so
            that another follower would end the same way.
    """

    def __init__(
        self,
        new_consumer: Callable[[], Consumer],
        *,
        topic: str,
        epoch: int,
        reader: EpochReader,
        start: Mapping[int, int],
        end: Mapping[int, int],
        deliver: Callable[[Chunk], None],
        stalled: Callable[[str, bool], None],
    ) -> None:
        self._new_consumer = new_consumer
        self._topic = topic
        self._epoch = epoch
        self._reader = reader
        self._start = dict(start)
        self._end = dict(end)
        self._unread = {partition for partition, offset in end.items() if start.get(partition, 0) < offset}
        self._told = False
        self._fraction = 0.0
        self._consumer: Consumer | None = None
        self._deliver = deliver
        self._stalled = stalled
        self._loop = asyncio.get_running_loop()
        self._slots = threading.Semaphore(_CHUNKS_AHEAD)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"follow-epoch-{epoch}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end; returns at once, and nothing is handed over any more."""
        self._stop.set()

    def join(self) -> None:
        """Wait for the thread's end; not on the loop."""
        self._thread.join()

    @property
    def has_ended(self) -> bool:
        """Whether its thread has ended, and closed what it read with."""
        return not self._thread.is_alive()

    def round(self) -> bool:
        """Read once and hand over what came; False when nothing more will come. For the thread."""
        try:
            if not self._stop.is_set():
                self._read_once()
                return True
            reason, final = None, False
        except OryxError as error:
            reason, final = str(error), isinstance(error, Stop)
        except Exception as error:
            log.exception("follower_failed", epoch=self._epoch)
            reason, final = f"following the update topic failed: {error!r}", False
        # Said first: closing may fail, too, or take its time, and nobody would know that nothing more comes.
        if reason is not None:
            self._call(lambda: None if self._stop.is_set() else self._stalled(reason, final))
        self._close()
        return False

    def _close(self) -> None:
        try:
            if self._consumer is not None:
                self._consumer.close()
        except OryxError as error:
            log.warning("consumer_not_closed", epoch=self._epoch, reason=str(error))
        except Exception:
            log.exception("consumer_not_closed", epoch=self._epoch)

    def _run(self) -> None:
        while self.round():
            pass

    def _read_once(self) -> None:
        if self._consumer is None:
            self._consumer = self._new_consumer()
            start = {(self._topic, partition): self._start.get(partition, 0) for partition in self._end}
            self._consumer.assign(start)
        for chunk in self._chunks(self._consumer.poll(CHUNK_RECORDS, _POLL_S), self._consumer):
            self._hand_over(chunk)

    def _chunks(self, events: Sequence[Record | EndOfPartition], consumer: Consumer) -> Iterator[Chunk]:
        """Split what was read where it has many items; the last chunk says how far it all goes."""
        chunk, items = Chunk(fraction=self._fraction), 0
        for event in events:
            if isinstance(event, EndOfPartition):
                self._unread.discard(event.partition)
                continue
            items += self._read(event, chunk)
            if items >= _CHUNK_ITEMS:
                yield chunk
                chunk, items = Chunk(fraction=self._fraction), 0
        if not self._told:
            self._look_how_far(consumer, chunk)
        elif not (chunk.updates or chunk.bad or chunk.new_epoch):
            return
        chunk.caught_up = self._told
        chunk.positions = {partition: position for (_, partition), position in consumer.positions().items()}
        yield chunk

    def _look_how_far(self, consumer: Consumer, chunk: Chunk) -> None:
        positions = {partition: position for (_, partition), position in consumer.positions().items()}
        self._unread = {partition for partition in self._unread if positions[partition] < self._end[partition]}
        self._told = not self._unread
        total = sum(end - self._start.get(partition, 0) for partition, end in self._end.items())
        left = sum(self._end[partition] - positions[partition] for partition in self._unread)
        self._fraction = chunk.fraction = 1 - left / total if total > 0 and self._unread else 1.0

    def _read(self, record: Record, chunk: Chunk) -> int:
        """Add a record to the chunk; returns how many items or users it lists."""
        if self._reader.is_model(record):
            chunk.new_epoch = True
            return 0
        try:
            update = self._reader.read(record)
        except BadMessage as error:
            chunk.bad.append(f"{record.topic}[{record.partition}]@{record.offset}: {error.reason}")
            return 0
        if update is None:
            return 0
        chunk.updates.append((record.partition, update))
        return len(getattr(update, "items", None) or getattr(update, "users", None) or ())

    def _hand_over(self, chunk: Chunk) -> None:
        while not self._slots.acquire(timeout=_POLL_S):
            if self._stop.is_set():
                return
        self._call(lambda: self._take(chunk))

    def _take(self, chunk: Chunk) -> None:
        self._slots.release()
        if not self._stop.is_set():
            self._deliver(chunk)

    def _call(self, function: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(function)
        except RuntimeError:  # the loop is closed: the process ends
            self._stop.set()
