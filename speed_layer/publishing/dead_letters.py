"""Where the writing of dead letters stands, apart from epochs, and the scan of what no epoch reads."""

from collections.abc import Callable, Mapping

import structlog

from oryx_py.errors import BadInteraction, BrokerUnavailable, LogGap, Transient
from oryx_py.messages.inbound import read_input
from oryx_py.ports import Clock, Consumer, Outgoing, Record
from oryx_py.runtime.gaps import Gaps
from speed_layer.limits import rested_at
from speed_layer.publishing.records import dead_letter

__all__ = ["KEEP_S", "DeadLetters"]

log = structlog.get_logger("speed")

KEEP_S = 86_400.0
"""So often a position is committed though it did not move: Kafka drops those of a group without members a week after
their last commit (``offsets.retention.minutes``), and trimming waits for them."""

_RETRY_S = 1.0


class DeadLetters:
    """Decides which unreadable records become dead letters: those at or above the group's position, each once.

    The position is kept in Kafka under the consumer group's name. Between a dead letter's acknowledgement and the
    commit of the position a crash writes it again; below the committed position none is ever written twice. So that
    Kafka keeps it, it is committed once a day also where it stays the same.

    Args:
        consumer: of the group; reads the topic where no epoch does, and holds the committed positions.
        topic: the input topic.
        start: by partition that is this process's, where the topic begins, for a group that has no position yet.
        dead_letter_topic: where to.
        clock: for the interval of commits.
        commit_every_s: longest time for which a position stays uncommitted while the layer runs.
        partitions: how many the topic has; None for those of ``start``.
        trimmed: looks up by partition where the topic begins, of those of which the history has all below; None for no
            history.
        gaps: where the scan goes on if neither has what is next; None where it must not.
    """

    def __init__(
        self,
        consumer: Consumer,
        *,
        topic: str,
        start: Mapping[int, int],
        dead_letter_topic: str,
        clock: Clock,
        commit_every_s: float = 1.0,
        partitions: int | None = None,
        trimmed: Callable[[], Mapping[int, int]] | None = None,
        gaps: Gaps | None = None,
    ) -> None:
        self._trimmed, self._gaps = trimmed, gaps
        self._partitions = len(start) if partitions is None else partitions
        self._consumer = consumer
        self._topic = topic
        self._dead_letter_topic = dead_letter_topic
        self._clock = clock
        self._commit_every_s = commit_every_s
        committed = consumer.committed([(topic, partition) for partition in start])
        self.positions = {
            partition: max(offset, committed.get((topic, partition)) or 0) for partition, offset in start.items()
        }
        self._committed = dict(self.positions)
        self._committed_at = clock.monotonic()
        self._all_committed_at: float | None = None
        self._scanning = False

    def of(self, record: Record, reason: str) -> Outgoing | None:
        """Return a record's dead letter, None where it has one already."""
        if record.offset < self.positions[record.partition]:
            return None
        return dead_letter(record, reason, self._dead_letter_topic)

    def behind(self, positions: Mapping[int, int]) -> bool:
        """Say whether records below these positions were not looked at yet."""
        return any(offset < positions.get(partition, 0) for partition, offset in self.positions.items())

    def advance(self, positions: Mapping[int, int]) -> None:
        """Note that all dead letters below these positions are acknowledged; commits now and then."""
        for partition, offset in ((p, o) for p, o in positions.items() if p in self.positions):
            self.positions[partition] = max(offset, self.positions[partition])
        begun = self._clock.monotonic()
        if begun - self._committed_at >= self._commit_every_s:
            try:
                self.commit()
            except BrokerUnavailable as trouble:
                # Behind the truth is allowed: what is written again after a crash is a repeat.
                log.warning("dead_letter_position_not_committed", reason=str(trouble))
                self._committed_at = rested_at(begun, self._clock.monotonic())

    def release(self, partition: int) -> None:
        """Let go of a partition: its dead letters are another's to write."""
        self.positions.pop(partition, None)
        self._committed.pop(partition, None)
        self._scanning = False

    def commit(self) -> None:
        """Commit the positions that changed; all of them once a day, and the first time.

        Raises:
            BrokerUnavailable: not acknowledged; the next call tries again.
        """
        now = self._clock.monotonic()
        all_ = self._all_committed_at is None or now - self._all_committed_at >= KEEP_S
        due = {
            (self._topic, partition): offset
            for partition, offset in self.positions.items()
            if all_ or offset != self._committed[partition]
        }
        if due:
            self._consumer.commit(due)
            self._committed = dict(self.positions)
        if all_:
            self._all_committed_at = now
        self._committed_at = now

    def scan(self, max_records: int, timeout_s: float) -> tuple[list[Outgoing], dict[int, int]]:
        """Read on by itself; return the dead letters found and the positions to `advance` to when they are sent."""
        if not self._scanning:
            self._consumer.assign({(self._topic, partition): offset for partition, offset in self.positions.items()})
            self._scanning = True
        found: list[Outgoing] = []
        try:
            events = self._consumer.poll(max_records, timeout_s)
        except LogGap:
            if not (self._others_went_further() or self._was_trimmed() or self._passed_over()):
                raise
            return [], dict(self.positions)
        for event in events:
            if isinstance(event, Record):
                try:
                    read_input(event.value, event.partition, self._partitions)
                except BadInteraction as bad:
                    letter = self.of(event, bad.reason)
                    if letter is not None:
                        found.append(letter)
        return found, {partition: offset for (_, partition), offset in self._consumer.positions().items()}

    def _others_went_further(self) -> bool:
        """Take over what a former owner has committed since, below which the log may have been trimmed."""
        committed = self._consumer.committed([(self._topic, partition) for partition in self.positions])
        further = {
            partition: offset
            for (_, partition), offset in committed.items()
            if offset is not None and offset > self.positions[partition]
        }
        self.positions |= further
        self._scanning = False
        return bool(further)

    def _was_trimmed(self) -> bool:
        """Go on where the topic begins, if the history has what is gone.

        Whoever trims goes by the group's position, so somebody had written these dead letters and said so; and somebody
        else, who had been replaced or had slept meanwhile, has put an earlier position over that.
        """
        try:
            begins = {} if self._trimmed is None else self._trimmed()
        except Transient as trouble:
            log.warning("history_unreadable", reason=str(trouble), hint="it is tried again")
            self._clock.sleep(_RETRY_S)
            return True
        further = {p: begins[p] for p, offset in self.positions.items() if offset < begins.get(p, 0)}
        if further:
            log.info("dead_letters_trimmed", offsets={p: [self.positions[p], to] for p, to in further.items()})
        self.positions |= further
        self._scanning = False
        return bool(further)

    def _passed_over(self) -> bool:
        """Go on where the topic begins, if a gap is allowed."""
        beyond = {} if self._gaps is None else self._gaps.over(self.positions)
        self.positions |= beyond
        self._scanning = False
        return bool(beyond)

    def close(self) -> None:
        """Give the consumer back; commits nothing."""
        self._consumer.close()

    def rest(self) -> None:
        """Stop reading by itself: an epoch reads the topic now."""
        if self._scanning:
            self._consumer.assign({})
            self._scanning = False
