"""Notices that a topic's number of partitions has changed while a layer runs."""

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor

from oryx_py.errors import OryxError, TopicsChanged
from oryx_py.ports import Clock, TopicAdmin
from oryx_py.runtime.topics import count_changed

__all__ = ["PartitionCounts", "changed_count"]

LOOK_S = 5.0


def changed_count(admin: TopicAdmin, recorded: Mapping[str, int]) -> str | None:
    """Return in one line which topic has another number of partitions, and what to do; None where none has.

    A topic that is not there, or a broker that refuses us, is others' to notice; one that does not answer says nothing.
    """
    for topic, before in recorded.items():
        try:
            now = admin.partitions(topic)
        except OryxError:
            return None
        if now is not None and now != before:
            return count_changed(topic, now, before)
    return None


class PartitionCounts:
    """Looks every few seconds, aside; one thread calls `check` again and again.

    Args:
        admin: for the counts.
        recorded: by topic, how many partitions it had.
        clock: for the interval.
    """

    def __init__(self, admin: TopicAdmin, recorded: Mapping[str, int], clock: Clock) -> None:
        self._admin, self._recorded, self._clock = admin, recorded, clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="counts")
        self._looking: Future[str | None] | None = None
        self._look_at = clock.monotonic() + LOOK_S

    def check(self) -> None:
        """Begin to look when it is time; waits for nothing.

        Raises:
            TopicsChanged: the last look found another count.
        """
        if self._looking is not None and self._looking.done():
            looked, self._looking = self._looking, None
            if trouble := looked.result():
                raise TopicsChanged(trouble)
        now = self._clock.monotonic()
        if self._looking is None and now >= self._look_at:
            self._look_at = now + LOOK_S
            self._looking = self._thread.submit(changed_count, self._admin, self._recorded)

    def close(self) -> None:
        """Look no more."""
        self._thread.shutdown(wait=False, cancel_futures=True)
