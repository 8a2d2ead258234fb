"""Keeps former owners of input partitions from being heard: step 3 of `speed_layer.sharing.claiming`."""

from collections.abc import Collection

from speed_layer.publishing.outbox import Outbox
from speed_layer.publishing.records import progress_records

__all__ = ["Fence"]


class Fence:
    """Names a term in every partition of the update topic. Any thread may.

    Args:
        outbox: where to.
        topic, update_partitions: the update topic.
        term: of the ownership.
        partitions: the input partitions owned.
    """

    def __init__(
        self, outbox: Outbox, topic: str, update_partitions: int, term: int, partitions: Collection[int]
    ) -> None:
        self._outbox, self._topic, self._update_partitions = outbox, topic, update_partitions
        self.term = term
        self._nothing = dict.fromkeys(sorted(partitions), False)

    def raise_in(self, epoch: int) -> None:
        """Return when every update partition has it: as a ``PROGRESS`` of this epoch that announces nothing.

        Raises:
            Interrupted: the process is asked to stop.
        """
        self._outbox.deliver(
            progress_records(epoch, {}, self._nothing, self._topic, self._update_partitions, self.term)
        )
