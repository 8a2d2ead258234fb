"""Notices that a topic is no longer the recorded one while a layer runs."""

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor

from oryx_py.errors import OryxError, TopicsChanged
from oryx_py.model.epochs.registry import TopicIdentity
from oryx_py.ports import Clock, TopicAdmin
from oryx_py.runtime.topics import difference

__all__ = ["LOOK_S", "TopicWatch", "changed_topic"]

LOOK_S = 5.0


def changed_topic(admin: TopicAdmin, recorded: Mapping[str, TopicIdentity]) -> str | None:
    """Return in one line which topic has another number of partitions or was created anew, and what to do.

    None where none has changed. A topic that is not there is others' to notice.

    Raises:
        OryxError: the broker does not answer or refuses us, which says nothing of the topics.
    """
    for topic, before in recorded.items():
        partitions = admin.partitions(topic)
        if partitions is None:
            continue
        try:
            now = TopicIdentity(admin.topic_id(topic), partitions)
        except TopicsChanged:  # deleted in between
            continue
        if trouble := difference(topic, before, now):
            return trouble
    return None


class TopicWatch:
    """Looks every few seconds, aside; one thread calls `check` again and again.

    Args:
        admin: for the topics.
        recorded: by topic, what it was.
        clock: for the interval.
    """

    def __init__(self, admin: TopicAdmin, recorded: Mapping[str, TopicIdentity], clock: Clock) -> None:
        self._admin, self._recorded, self._clock = admin, recorded, clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="topics")
        self._looking: Future[str | None] | None = None
        self._look_at = clock.monotonic() + LOOK_S

    def check(self) -> None:
        """Begin to look when it is time; waits for nothing.

        Raises:
            TopicsChanged: the last look found another topic.
        """
        if self._looking is not None and self._looking.done():
            looked, self._looking = self._looking, None
            try:
                trouble = looked.result()
            except OryxError:
                trouble = None
            if trouble is not None:
                raise TopicsChanged(trouble)
        now = self._clock.monotonic()
        if self._looking is None and now >= self._look_at:
            self._look_at = now + LOOK_S
            self._looking = self._thread.submit(changed_topic, self._admin, self._recorded)

    def close(self) -> None:
        """Look no more."""
        self._thread.shutdown(wait=False, cancel_futures=True)
