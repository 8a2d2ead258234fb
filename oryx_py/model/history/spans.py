"""Which commits of the history cover which offsets of the input."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence

from oryx_py.model.history.commits import HistoryCommit

__all__ = ["Spans"]


class Spans:
    """By input partition, the offsets of each commit that has any: they ascend, each from the end of the one before.

    Args:
        commits: ascending, all of them.
    """

    def __init__(self, commits: Iterable[HistoryCommit]) -> None:
        self._spans: dict[int, tuple[list[int], list[int], list[int]]] = {}
        for commit in commits:
            for partition, (start, end) in commit.input.items():
                if start < end:
                    numbers, starts, ends = self._spans.setdefault(partition, ([], [], []))
                    numbers.append(commit.number)
                    starts.append(start)
                    ends.append(end)

    def commits(self, partition: int, start: int, stop: int) -> Sequence[int]:
        """Return the numbers of the commits that cover any of a partition's offsets ``[start, stop)``, ascending."""
        numbers, starts, ends = self._spans.get(partition, ([], [], []))
        return numbers[bisect_right(ends, start) : bisect_left(starts, stop)]
