"""Who may speak for an input partition: the fence against former owners.

A speed process that takes input partitions over claims a *term*, a number that rises, and names it in a ``PROGRESS``.
What comes after that in the same update partition with a lower term, and concerns these partitions, is of a process
that does not know yet that it was replaced; it is dropped. See docs/decisions/0018-several-speed-processes.md.
"""

from collections.abc import Iterable, Mapping

from oryx_py.messages import partition_of

__all__ = ["Terms"]


class Terms:
    """The highest terms named so far, by update partition and input partition; one reader's, one thread.

    Args:
        update_partitions: of the update topic; each has its own order, so each has its own fence.
        partitions: of the input topic.
    """

    def __init__(self, update_partitions: int, partitions: int) -> None:
        self._partitions = partitions
        self._terms: list[dict[int, int]] = [{} for _ in range(update_partitions)]
        self._highest = [-1] * update_partitions

    def note(self, term: int | None, partitions: Iterable[int], update_partition: int) -> None:
        """Take in that a process speaks for these input partitions from here on; None says nothing."""
        if term is None:
            return
        terms = self._terms[update_partition]
        for partition in partitions:
            terms[partition] = max(term, terms.get(partition, -1))
        self._highest[update_partition] = max(term, self._highest[update_partition])

    def has_ended(self, term: int | None, partition: int, update_partition: int) -> bool:
        """Say whether somebody with a higher term has spoken for an input partition; never of what has no term."""
        return term is not None and term < self._terms[update_partition].get(partition, -1)

    def is_former(self, subject: str, term: int | None, update_partition: int) -> bool:
        """Say whether an update of this user or item comes of a former owner of the partition that its ID is in."""
        if term is None or term >= self._highest[update_partition]:
            return False  # as good as always: nobody has a higher one
        return self.has_ended(term, partition_of(subject, self._partitions), update_partition)

    def of(self, update_partition: int) -> Mapping[int, int]:
        """Return by input partition the highest term named in an update partition."""
        return dict(self._terms[update_partition])
