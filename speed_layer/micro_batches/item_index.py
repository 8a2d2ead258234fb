"""Who has done something with an item, among interactions that wait in any number."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["ItemIndex"]

Handles = NDArray[np.int64]


class Touches(Protocol):
    """n interactions: int64[n] handles of users and items, and int64[n] input partitions."""

    @property
    def users(self) -> Handles: ...

    @property
    def items(self) -> Handles: ...

    @property
    def partitions(self) -> Handles: ...


class ItemIndex:
    """Looks for an item and a partition at the cost of what came since the last look, not of all that waits.

    What came is sorted, and with it what was sorted before that is no longer: each interaction log₂ n times at most.

    Args:
        partitions: of the input topic.
    """

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self._runs: list[tuple[Handles, Handles]] = []
        """Numbers of item and partition, ascending, and users; each run is more than twice as long as the next."""
        self._taken = 0

    def users(self, parts: Sequence[Touches], item: int, partition: int) -> Handles:
        """Return int64[n]: the users, some perhaps several times.

        Args:
            parts: all that waits; what a look before this one was given, and more behind it.
            item: a handle.
            partition: of the input.
        """
        self._take(parts[self._taken :])
        wanted = item * self._partitions + partition
        found = [np.empty(0, np.int64)]
        for numbers, users in self._runs:
            first, last = np.searchsorted(numbers, [wanted, wanted + 1])
            found.append(users[first:last])
        return np.concatenate(found)

    def _take(self, new: Sequence[Touches]) -> None:
        if not new:
            return
        self._taken += len(new)
        numbers = np.concatenate([part.items * self._partitions + part.partitions for part in new])
        users = np.concatenate([part.users for part in new])
        while self._runs and len(self._runs[-1][0]) <= 2 * len(numbers):
            before = self._runs.pop()
            numbers, users = np.concatenate([before[0], numbers]), np.concatenate([before[1], users])
        order = np.argsort(numbers, kind="stable")
        self._runs.append((numbers[order], users[order]))
