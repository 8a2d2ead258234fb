"""Room for the systems that are kept: so many slots, of which those in use alone take memory."""

import mmap
import sys
from contextlib import suppress

import numpy as np

from oryx_py.numerics.recursive.kernel import States

__all__ = ["Slots"]


class Slots:
    """Hands out slots and takes them back.

    What a slot had is given back to the system when the slot is: else every slot that was ever used would take its
    memory for good, and what histories take came on top. Only whole pages are, so that systems smaller than one stay.

    Args:
        count: of slots.
        features: k.

    Raises:
        OSError: so much cannot even be reserved.
    """

    def __init__(self, count: int, features: int) -> None:
        k = features
        self._slot_bytes = 8 * k * k
        self._memory = [_reserved(count * self._slot_bytes) for _ in "AP"]
        A, P = (np.frombuffer(each, np.float64, count * k * k).reshape(count, k, k) for each in self._memory)
        self.states = States(A, P, np.empty((count, k)), np.empty((count, k)), np.empty((count, 2)))
        self._used = 0
        self._returned: list[int] = []

    def take(self) -> int:
        """Return a slot that nobody has; whatever it says means nothing."""
        if self._returned:
            return self._returned.pop()
        self._used += 1
        return self._used - 1

    def give_back(self, slot: int) -> None:
        """Take a slot back, and let go of its memory."""
        self._returned.append(slot)
        page = mmap.PAGESIZE
        first = -(-slot * self._slot_bytes // page) * page  # the next page's begin
        last = (slot + 1) * self._slot_bytes // page * page
        if first < last:
            for memory in self._memory:
                memory.madvise(mmap.MADV_DONTNEED, first, last - first)


def _reserved(nbytes: int) -> mmap.mmap:
    """Pages of zeros that take memory when they are touched first; large ones where there are, as NumPy would have."""
    memory = mmap.mmap(-1, max(nbytes, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if sys.platform == "linux":
        with suppress(OSError):  # a kernel without them
            memory.madvise(mmap.MADV_HUGEPAGE)
    return memory
