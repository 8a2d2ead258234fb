"""The input topic as one epoch reads it: up to what was announced before a restart, and on from there."""

from collections.abc import Collection, Mapping

from oryx_py.ports import Consumer, Record

__all__ = ["InputReader"]


class InputReader:
    """Where an epoch's run stands in the input; owns its consumer.

    While it is silent it returns nothing of what comes after ``silent_until``: that is read again when it goes on.

    Args:
        consumer: of the input topic, for this run alone.
        topic: the input topic.
        begins: by input partition that is the run's, where to begin.
        silent_until: by input partition, the positions announced before a restart; empty where there are none.
    """

    def __init__(
        self, consumer: Consumer, topic: str, begins: Mapping[int, int], silent_until: Mapping[int, int]
    ) -> None:
        self._consumer, self._topic, self._begins = consumer, topic, dict(begins)
        self.positions = dict(begins)
        """By input partition: the next offset to fold."""
        self._silent_until = {p: offset for p, offset in silent_until.items() if p in begins}
        self.is_silent = bool(self._silent_until)
        """Whether only what was announced before is read."""
        self.assign()

    @property
    def horizon(self) -> dict[int, int]:
        """By input partition: up to where the epoch is folded, or was before a restart."""
        return {p: max(offset, self._silent_until.get(p, 0)) for p, offset in self.positions.items()}

    @property
    def has_all_announced(self) -> bool:
        """Whether everything is read that was announced before."""
        return self.caught_up(self._silent_until)

    def caught_up(self, target: Mapping[int, int]) -> bool:
        """Say whether everything below the target is read, of the partitions that are the run's."""
        return all(offset >= target.get(partition, 0) for partition, offset in self.positions.items())

    def ends(self) -> dict[int, int]:
        """By input partition: where the log ends, as the broker last said; those it has not spoken of are left out."""
        return {partition: offset for (_, partition), offset in self._consumer.ends().items()}

    def read(self, max_records: int, timeout_s: float) -> list[Record]:
        """Return the next records to fold; the positions move past them.

        Raises:
            LogGap: the topic no longer has what comes next.
        """
        records = [event for event in self._consumer.poll(max_records, timeout_s) if isinstance(event, Record)]
        self.positions |= {partition: offset for (_, partition), offset in self._consumer.positions().items()}
        return self._up_to_announced(records) if self.is_silent else records

    def go_on(self) -> None:
        """Read from now on whatever comes."""
        self.is_silent = False
        self.assign()

    def release(self, partitions: Collection[int]) -> None:
        """Leave out partitions from now on; `assign` says so to the consumer."""
        for partition in partitions:
            self.positions.pop(partition, None)
            self._silent_until.pop(partition, None)

    def assign(self) -> None:
        """Let the consumer read from the positions."""
        ahead = self.positions
        if self.is_silent:
            ahead = {p: o for p, o in self.positions.items() if o < self._silent_until.get(p, 0)}
        self._consumer.assign({(self._topic, partition): offset for partition, offset in ahead.items()})

    def close(self) -> None:
        """Give the consumer back."""
        self._consumer.close()

    def _up_to_announced(self, records: list[Record]) -> list[Record]:
        """Leave out what comes after the announced positions."""
        beyond = {p for p, offset in self.positions.items() if offset > self._silent_until.get(p, 0)}
        for partition in beyond:
            self.positions[partition] = max(self._silent_until.get(partition, 0), self._begins[partition])
        if beyond:
            self.assign()
        return [record for record in records if record.offset < self._silent_until.get(record.partition, 0)]
