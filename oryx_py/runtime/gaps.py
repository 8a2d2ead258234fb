"""Goes on where neither the log nor the history has the next record, and counts what is missing."""

import threading
from collections.abc import Callable, Mapping

import structlog

from oryx_py.ports import TopicAdmin

__all__ = ["Gaps"]

log = structlog.get_logger("input")


class Gaps:
    """Where one topic's readers go on that are allowed to pass over what is lost; any thread.

    Args:
        topic: which.
        admin: for where it begins.
        count: is told how many offsets are lost, each of them once however many readers pass over it.
    """

    def __init__(self, topic: str, admin: TopicAdmin, count: Callable[[int], object]) -> None:
        self._topic, self._admin, self._count = topic, admin, count
        self._counted: dict[int, int] = {}
        self._lock = threading.Lock()

    def over(self, positions: Mapping[int, int]) -> dict[int, int]:
        """Return where partitions begin, for those that begin above these positions.

        Raises:
            BrokerUnavailable: no answer in time.
        """
        first = self._admin.start_offsets(self._topic)
        passed = {p: first[p] for p, offset in positions.items() if p in first and offset < first[p]}
        with self._lock:
            lost = {p: [offset, to] for p, to in passed.items() if (offset := self._from(p, positions[p])) < to}
            self._counted |= {p: to for p, (_, to) in lost.items()}
        if lost:
            count = sum(to - offset for offset, to in lost.values())
            self._count(count)
            log.warning("input_lost", topic=self._topic, offsets=lost, count=count, hint="speed.allow_gap is set")
        return passed

    def _from(self, partition: int, offset: int) -> int:
        return max(offset, self._counted.get(partition, 0))
