"""Which records of the input are ignored, since they repeat another."""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from oryx_py.events import FoldSettings, IdWindow, SeenIds
from oryx_py.messages.inbound import id_of
from oryx_py.ports import Record

__all__ = ["Repeats"]

_MOST_IGNORED = 1 << 20
"""Offsets a partition; of what was ignored before them it is not known any more."""


class Repeats:
    """The IDs of every input partition that a later record may still repeat; told each readable record, in order.

    Remembers also which records were ignored, by offset: what an epoch has decided, another one with the same window
    need not find out again.

    Args:
        settings: the generation's.
        clocks_ms: by partition, its clock before the first record told; missing where the topic begins with that.
    """

    def __init__(self, settings: FoldSettings, clocks_ms: Mapping[int, int]) -> None:
        self._settings = settings
        self._seen = {partition: SeenIds(settings, clock_ms) for partition, clock_ms in clocks_ms.items()}
        self._decided: dict[int, _Decided] = {}

    @property
    def nbytes(self) -> int:
        """About how many bytes this holds."""
        decided = sum(8 * len(decided.ignored) for decided in self._decided.values())
        return decided + sum(seen.nbytes for seen in self._seen.values())

    def begin(self, positions: Mapping[int, int]) -> None:
        """Note at which offsets the partitions begin of which nothing is decided yet."""
        for partition, offset in positions.items():
            self._decided.setdefault(partition, _Decided(offset))

    def take(self, windows: Mapping[int, IdWindow]) -> None:
        """Take over what was dumped of some partitions."""
        self._seen |= {partition: SeenIds.of(self._settings, window) for partition, window in windows.items()}

    def dump(self) -> dict[int, IdWindow]:
        """Return by partition all that is remembered, as arrays."""
        return {partition: seen.dump() for partition, seen in sorted(self._seen.items())}

    def copy(self, positions: Mapping[int, int]) -> "Repeats":
        """Return another that remembers the same of these partitions, told all readable records below these offsets."""
        other = Repeats(self._settings, {})
        for partition, offset in positions.items():
            if partition in self._decided:
                decided = self._decided[partition]
                other._decided[partition] = _Decided(decided.since, max(decided.to, offset), decided.ignored[:])
            if partition in self._seen:
                other._seen[partition] = self._seen[partition].copy()
        return other

    def decides(self, settings: FoldSettings, begins: Mapping[int, int]) -> dict[int, int]:
        """Return by partition up to where this has decided what an epoch with these settings has to from a beginning.

        Partitions are left out whose beginning this does not know, all of them where another window holds.
        """
        mine = self._settings
        if (mine.dedupe_window_ms, mine.dedupe_records) != (settings.dedupe_window_ms, settings.dedupe_records):
            return {}
        return {
            p: self._decided[p].to for p, at in begins.items() if p in self._decided and self._decided[p].since <= at
        }

    def adopt(self, other: "Repeats", partitions: Iterable[int]) -> None:
        """Take over what another has of partitions; it is not to be told any more."""
        for partition in partitions:
            self._decided[partition] = other._decided[partition]
            if partition in other._seen:
                self._seen[partition] = other._seen[partition]

    def is_repeat(self, record: Record, user: str) -> bool:
        """Take in a readable record of this user; say whether it is to be ignored."""
        id_ = id_of(record.headers) if record.headers and self._settings.dedupes else None
        if id_ is None:
            return False
        decided = self._decided.setdefault(record.partition, _Decided(record.offset))
        if record.offset < decided.to:
            return decided.has_ignored(record.offset)
        seen = self._seen.setdefault(record.partition, SeenIds(self._settings))
        ignored = seen.is_repeat(user, id_, record.timestamp_ms)
        decided.note(record.offset, ignored=ignored)
        return ignored

    def new_ones(self, records: Sequence[Record], users: Sequence[str]) -> list[int] | None:
        """Take in readable records of these users, in their order; return the places of those to be folded.

        None where none repeats another, as nearly always.
        """
        repeats = {
            place for place, record in enumerate(records) if record.headers and self.is_repeat(record, users[place])
        }
        return [place for place in range(len(records)) if place not in repeats] if repeats else None


@dataclass(slots=True)
class _Decided:
    """Which records of a partition were ignored, of the offsets from ``since`` to before ``to``; bounded."""

    since: int
    to: int = 0
    ignored: "array[int]" = field(default_factory=lambda: array("q"))
    """Offsets, ascending."""

    def has_ignored(self, offset: int) -> bool:
        at = bisect_left(self.ignored, offset)
        return at < len(self.ignored) and self.ignored[at] == offset

    def note(self, offset: int, *, ignored: bool) -> None:
        self.to = offset + 1
        if ignored:
            self.ignored.append(offset)
            if len(self.ignored) > _MOST_IGNORED:
                half = len(self.ignored) // 2
                self.since = self.ignored[half - 1] + 1
                del self.ignored[:half]
