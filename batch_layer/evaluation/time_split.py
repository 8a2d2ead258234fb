"""Where the newest share of all interactions begins: found by counting in ever finer buckets of time. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["BUCKETS", "Search", "begin", "narrowed"]

BUCKETS = 1 << 20
"""Times of three years are told apart to 0.1 s in one pass, and by the millisecond in the next."""


@dataclass(frozen=True, slots=True)
class Search:
    """Where the cut may still be: the smallest time with at most ``allowed`` interactions at or after it.

    It lies in ``(start_ms, stop_ms]``. From ``stop_ms`` on there are ``newer``.
    """

    start_ms: int
    stop_ms: int
    newer: int
    allowed: int

    @property
    def width_ms(self) -> int:
        """Of a bucket: as narrow as `BUCKETS` of them allow."""
        return max(1, -(-(self.stop_ms - self.start_ms) // BUCKETS))

    @property
    def cut_ms(self) -> int | None:
        """The cut, None where it is not known yet."""
        return self.stop_ms if self.stop_ms - self.start_ms <= 1 else None


def begin(oldest_ms: int, newest_ms: int, interactions: int, share: float) -> Search | None:
    """Begin to look for the newest ``share`` of so many interactions; None where no more than one time is there."""
    if oldest_ms >= newest_ms:
        return None
    return Search(oldest_ms, newest_ms + 1, 0, int(share * interactions))


def narrowed(search: Search, counts: Mapping[int, int]) -> Search:
    """Go on in the one bucket with which there would be too many.

    Args:
        search: so far.
        counts: by ``(time - start_ms) // width_ms`` of the times in ``[start_ms, stop_ms)``: the interactions there.
    """
    newer, width = search.newer, search.width_ms
    for bucket in sorted(counts, reverse=True):
        if newer + counts[bucket] > search.allowed:
            start = search.start_ms + bucket * width
            return Search(start, min(start + width, search.stop_ms), newer, search.allowed)
        newer += counts[bucket]
    # Not even all are too many: everything is at or after the start, so the cut is just above it.
    return Search(search.start_ms, search.start_ms + 1, newer, search.allowed)
