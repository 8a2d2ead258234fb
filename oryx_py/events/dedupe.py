"""Idempotency keys: which records only repeat what their user has had before.

The records of a partition that can be read and have an ID are numbered in the order of their offsets, and each has a
clock: the newest Kafka timestamp among them so far, which never goes back, whatever the broker's own clock does. A
record repeats an earlier one of the same user and ID if `reaches` holds between them; the earlier one may itself be a
repeat. So the answer is a function of the log alone, and of no more of it than the window.
"""

from array import array
from bisect import bisect_left
from collections import deque
from dataclasses import dataclass
from itertools import chain, takewhile
from typing import TypeVar

import numpy as np
import xxhash
from numpy.typing import NDArray

from oryx_py.events.fold import FoldSettings

__all__ = ["IdWindow", "SeenIds", "reaches"]

_Integers = TypeVar("_Integers", int, NDArray[np.int64])

_KEY_BYTES = 200
_SWEEP_RECORDS = 4096
_SWEPT = 16
"""A sweep comes when this share more is there: interactions wait for it."""
_SEALED_KEYS = 262_144
"""Keys of a part that takes no more: so many too many may be kept, and each part is one more place to look."""
_COPIED_KEYS = 16_384
"""A part with fewer is copied, and not sealed for a copy's sake, or there would be ever more."""


def reaches(elapsed_ms: _Integers, records: _Integers, settings: FoldSettings) -> bool | NDArray[np.bool_]:
    """Say whether two records of one user and ID are close enough for the later one to be a repeat.

    Args:
        elapsed_ms: between their clocks, int or int64[n].
        records: how many further the later one is in the numbering of its partition; the same shape.
        settings: the generation's; both bounds are inclusive.
    """
    return (elapsed_ms <= settings.dedupe_window_ms) & (records <= settings.dedupe_records)


@dataclass(frozen=True, slots=True, eq=False)
class IdWindow:
    """What `SeenIds` remember, as arrays.

    ``high`` and ``low`` uint64[n]: the halves of each key, ascending by ``high``, none twice. ``numbers`` int64[n]: of
    each key's last record, below ``first`` where no record can repeat it any more. ``clocks`` int64[c]: of the records
    from number ``first`` on. ``clock_ms``: of the partition.
    """

    high: NDArray[np.uint64]
    low: NDArray[np.uint64]
    numbers: NDArray[np.int64]
    clocks: NDArray[np.int64]
    first: int
    clock_ms: int

    def number(self, key: int) -> int | None:
        """Return the number of a key's last record, None for a key that is not there."""
        high, low = key >> 64, key & 0xFFFF_FFFF_FFFF_FFFF
        at = int(self.high.searchsorted(np.uint64(high)))
        while at < len(self.high) and self.high[at] == high:
            if self.low[at] == low:
                return int(self.numbers[at])
            at += 1
        return None


class SeenIds:
    """The IDs of one partition that a later record may still repeat; told every record with an ID, in order.

    Keeps some 200 bytes for each of at most 17/16 × `dedupe_records` records, and 262,144 more. Copies share nearly all
    of it. Users and IDs are compared by 128 bits of hash.

    Args:
        settings: the generation's.
        clock_ms: of the partition before the first record that this is told; -1 at its beginning.
    """

    def __init__(self, settings: FoldSettings, clock_ms: int = -1) -> None:
        self._settings = settings
        self._earlier: IdWindow | None = None
        """What was loaded at once; all that follows goes before it."""
        self._sealed: deque[tuple[dict[int, int], int]] = deque()
        """As `_last`, of earlier records, which nobody changes any more; with the number of each one's last."""
        self._last: dict[int, int] = {}
        """By user and ID: the number of its last record, ascending."""
        self._clocks = array("q")
        """The clocks of the records from number `_first` on."""
        self._first = 0
        self._clock_ms = clock_ms
        self._sweep_at = _SWEEP_RECORDS

    def __len__(self) -> int:
        return self._keys + (0 if self._earlier is None else len(self._earlier.high))

    @property
    def _keys(self) -> int:
        return len(self._last) + sum(len(keys) for keys, _ in self._sealed)

    @property
    def nbytes(self) -> int:
        """About how many bytes this holds: a key and its number by their usual size."""
        earlier = self._earlier
        arrays = 0 if earlier is None else sum(a.nbytes for a in (earlier.high, earlier.low, earlier.numbers))
        return _KEY_BYTES * self._keys + 8 * len(self._clocks) + arrays

    @classmethod
    def of(cls, settings: FoldSettings, window: IdWindow) -> "SeenIds":
        """Return what was dumped; the window's keys stay in its arrays until they are repeated or too old."""
        seen = cls(settings, window.clock_ms)
        seen._earlier = window
        seen._clocks = array("q", window.clocks.tobytes())
        seen._first = window.first
        seen._sweep_at = len(seen._clocks) + max(_SWEEP_RECORDS, len(seen._clocks) // _SWEPT)
        return seen

    def copy(self) -> "SeenIds":
        """Return another that remembers the same; what neither changes any more is shared."""
        if len(self._last) >= _COPIED_KEYS:
            self._seal()
        other = SeenIds(self._settings, self._clock_ms)
        other._earlier, other._sealed = self._earlier, self._sealed.copy()
        other._last = self._last.copy()
        other._clocks = self._clocks[:]
        other._first, other._sweep_at = self._first, self._sweep_at
        return other

    def dump(self) -> IdWindow:
        """Return all that is remembered, in arrays of their own."""
        parts = [*(keys for keys, _ in self._sealed), self._last]
        raw = b"".join(key.to_bytes(16, "big") for key in chain.from_iterable(parts))
        keys = np.frombuffer(raw, ">u8").astype(np.uint64).reshape(-1, 2)
        high, low = keys[:, 0], keys[:, 1]
        numbers = np.fromiter(chain.from_iterable(part.values() for part in parts), np.int64, len(keys))
        if self._earlier is not None:  # before the newer ones, so that of equal keys the last is the newest
            high = np.concatenate([self._earlier.high, high])
            low = np.concatenate([self._earlier.low, low])
            numbers = np.concatenate([self._earlier.numbers, numbers])
        order = np.lexsort((np.arange(len(high)), low, high))
        high, low, numbers = high[order], low[order], numbers[order]
        is_last = np.ones(len(high), np.bool_)
        is_last[:-1] = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
        kept = is_last & (numbers >= self._first)
        clocks = np.array(self._clocks, np.int64)
        return IdWindow(high[kept], low[kept], numbers[kept], clocks, self._first, self._clock_ms)

    def is_repeat(self, user: str, id: bytes, kafka_ms: int) -> bool:  # noqa: A002 - the header's name
        """Take in the partition's next record with an ID; say whether it is to be ignored.

        Args:
            user: empty in a record that forgets an item.
            id: not empty.
            kafka_ms: Kafka's timestamp, -1 where there is none.
        """
        key = xxhash.xxh3_128_intdigest(b"%b\0%b" % (user.encode(), id))  # no user has a control character
        self._clock_ms = max(self._clock_ms, kafka_ms)
        number = self._first + len(self._clocks)
        last = self._last.pop(key, None)
        if last is None:
            last = self._number_before(key)
        self._last[key] = number
        self._clocks.append(self._clock_ms)
        if len(self._last) >= _SEALED_KEYS:
            self._seal()
        elapsed_ms = 0 if last is None else self._clock_ms - self._clocks[last - self._first]
        if len(self._clocks) >= self._sweep_at:
            self._sweep(number + 1)
        return last is not None and bool(reaches(elapsed_ms, number - last, self._settings))

    def _number_before(self, key: int) -> int | None:
        """Return the number of a key's last record, None where no record can repeat it: of all but the open part."""
        last = None
        for keys, _ in reversed(self._sealed):  # the newer ones first
            last = keys.get(key)
            if last is not None:
                break
        else:
            if self._earlier is not None:
                last = self._earlier.number(key)
        return None if last is None or last < self._first else last

    def _seal(self) -> None:
        self._sealed.append((self._last, self._first + len(self._clocks) - 1))
        self._last = {}

    def _sweep(self, coming: int) -> None:
        """Drop what the record of the coming number cannot repeat any more, nor any after it."""
        in_time = bisect_left(self._clocks, self._clock_ms - self._settings.dedupe_window_ms)
        first = max(coming - self._settings.dedupe_records, self._first + in_time)
        while self._sealed and self._sealed[0][1] < first:
            self._sealed.popleft()
        for key in list(takewhile(lambda key: self._last[key] < first, self._last)):
            del self._last[key]
        if first > self._first:
            del self._clocks[: first - self._first]
            self._first = first
        if self._earlier is not None and not (self._earlier.numbers >= first).any():
            self._earlier = None
        self._sweep_at = len(self._clocks) + max(_SWEEP_RECORDS, len(self._clocks) // _SWEPT)
