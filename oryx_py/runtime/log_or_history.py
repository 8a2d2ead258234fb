"""Reads a topic also below where it was trimmed: there from the history."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Protocol

import structlog

from oryx_py.errors import LogGap, Transient
from oryx_py.ports import Clock, Consumer, EndOfPartition, Partition, Record, TopicAdmin
from oryx_py.runtime.gaps import Gaps

__all__ = ["LogOrHistory", "Past"]

log = structlog.get_logger("history")


class Past(Protocol):
    """The records of one topic that the history has; those that nobody could read are in no history.

    Raises, from every method:
        OryxError: it cannot be read.
    """

    def offsets(self) -> Mapping[int, int]:
        """By partition the first offset that the history does not have."""
        ...

    def records(self, partition: int, start: int, stop: int) -> Iterator[Record]:
        """Iterate over the records of ``[start, stop)`` by ascending offset; values read back as equal interactions."""
        ...


class LogOrHistory:
    """A `Consumer` of one topic that asks the history where the log says that it no longer has an offset.

    Costs nothing while the log has everything. Records of the history come in the order of their offsets, up to where
    the log begins, and then the log's: that has what nobody can read, too, of which there may be no dead letter yet.
    The end of a partition is told by the log alone.

    Args:
        consumer: of the topic; closed with this.
        topic: which.
        admin: for where the topic begins.
        past: the history.
        clock: to wait by while the history cannot be read.
        gaps: where it goes on if neither has what is next; None where it must not.
    """

    def __init__(
        self, consumer: Consumer, topic: str, *, admin: TopicAdmin, past: Past, clock: Clock, gaps: Gaps | None = None
    ) -> None:
        self._consumer, self._topic, self._admin, self._past, self._clock = consumer, topic, admin, past, clock
        self._gaps = gaps
        self._ahead: dict[int, int] = {}
        """By partition that is read from the history: the next offset."""
        self._stop: dict[int, int] = {}
        """Likewise where the log begins, or the history ends."""
        self._reading: tuple[int, Iterator[Record]] | None = None
        self._troubled = False

    def assign(self, positions: Mapping[Partition, int]) -> None:
        """Replace the assignment."""
        self._ahead, self._reading = {}, None
        self._consumer.assign(positions)

    def poll(self, max_records: int, timeout_s: float) -> list[Record | EndOfPartition]:
        """Return what is there; see the port.

        Raises:
            LogGap: neither the log nor the history has the offset, and no gap is allowed.
        """
        try:
            return self._from_history(max_records) if self._ahead else self._from_log(max_records, timeout_s)
        except Transient as trouble:  # also where a file has been put in the place of another meanwhile
            if not self._troubled:
                log.warning("history_unreadable", reason=str(trouble), hint="it is tried again")
            self._troubled, self._reading = True, None
            self._clock.sleep(timeout_s)
            return []

    def positions(self) -> dict[Partition, int]:
        """Next offset to be returned, for each assigned partition."""
        return {**self._consumer.positions(), **{(self._topic, p): offset for p, offset in self._ahead.items()}}

    def ends(self) -> dict[Partition, int]:
        """Where the log ends, by partition that is read from it."""
        return self._consumer.ends()

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """Store these positions under the group's name."""
        self._consumer.commit(positions)

    def committed(self, partitions: Iterable[Partition]) -> dict[Partition, int | None]:
        """Positions stored under the group's name."""
        return self._consumer.committed(partitions)

    def close(self) -> None:
        """Stop reading and free everything."""
        self._ahead, self._reading = {}, None
        self._consumer.close()

    def _from_log(self, max_records: int, timeout_s: float) -> list[Record | EndOfPartition]:
        try:
            return self._consumer.poll(max_records, timeout_s)
        except LogGap as gap:
            self._turn_to_history(gap)
            return []

    def _turn_to_history(self, gap: LogGap) -> None:
        """Find out which partitions begin above what is read next, and read these from the history from now on."""
        first, has = self._admin.start_offsets(self._topic), self._past.offsets()
        positions = self._consumer.positions()
        trimmed = {p: offset for (_, p), offset in positions.items() if offset < first.get(p, 0)}
        if not trimmed:
            raise gap
        for partition, offset in sorted(trimmed.items()):
            if has.get(partition, 0) < first[partition] and self._gaps is None:
                raise LogGap(
                    f"{self._topic}:{partition} begins at {first[partition]} and the history ends at "
                    f"{has.get(partition, 0)}, {offset} is needed: bring the log or the history back, publish a "
                    "generation that covers more (`oryx batch --once`), or go on without (speed.allow_gap = true)"
                ) from gap
        # With a gap in between, the history is read as far as it goes, and the gap met again there.
        ahead = {p: offset for p, offset in trimmed.items() if offset < has.get(p, 0)}
        beyond = {} if self._gaps is None else self._gaps.over({p: o for p, o in trimmed.items() if p not in ahead})
        stop = {p: min(has[p], first[p]) for p in sorted(ahead)}
        if ahead:
            log.info("history_read", topic=self._topic, offsets={p: [ahead[p], to] for p, to in stop.items()})
        self._ahead, self._stop = ahead, stop
        self._consumer.assign(
            {where: beyond.get(where[1], offset) for where, offset in positions.items() if where[1] not in ahead}
        )

    def _from_history(self, max_records: int) -> list[Record | EndOfPartition]:
        if self._reading is None:
            partition = min(self._ahead)
            self._reading = partition, self._past.records(partition, self._ahead[partition], self._stop[partition])
        partition, records = self._reading
        found: list[Record | EndOfPartition] = list(islice(records, max_records))
        self._troubled = False
        if len(found) == max_records:
            self._ahead[partition] = found[-1].offset + 1
            return found
        rest = {**self._consumer.positions(), (self._topic, partition): self._stop[partition]}
        del self._ahead[partition]
        self._reading = None
        self._consumer.assign(rest)
        return found
