"""How much of a step may go into what others' interactions have made stale."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

__all__ = ["Budget"]


class Budget:
    """Bounds one step: so many vectors, from systems of so many pairs in all, and so many states of items.

    That bounds the bytes sent, too.

    The first vector is always granted: an item with more users than the whole budget is solved, too, one a step.

    Args:
        solves: vectors; None for any number.
        pairs: of their systems; None for any number.
        states: of items, that other processes are told; None for any number.
        gone: pairs that are gone since an item is forgotten, that readers are told; None for any number.
    """

    def __init__(
        self, solves: int | None = None, pairs: int | None = None, states: int | None = None, gone: int | None = None
    ) -> None:
        self._solves = solves
        self._pairs = pairs
        self._states = states
        self._gone = gone

    def again(self) -> "Budget":
        """Return another of what is left of this."""
        return Budget(self._solves, self._pairs, self._states, self._gone)

    @property
    def spent(self) -> bool:
        """Whether nothing more is granted in this step."""
        return (self._solves is not None and self._solves <= 0) or (self._pairs is not None and self._pairs <= 0)

    def affordable(self, wanted: Iterable[int], weight: Callable[[int], int]) -> tuple[list[int], Iterator[int]]:
        """Take the first of the wanted that the budget allows; return these, and the rest.

        Args:
            wanted: in the order of preference.
            weight: the pairs of each one's system.
        """
        waiting = iter(wanted)
        granted: list[int] = []
        while not self.spent:
            some = list(islice(waiting, 1))
            if not some:
                break
            granted += some
            if self._solves is not None:
                self._solves -= 1
            if self._pairs is not None:
                self._pairs -= weight(some[0])
        return granted, waiting

    def reserve(self, vectors: int) -> "Budget":
        """Set so many vectors aside, at most half of what is left, for who would come too late; return that part.

        However little there is, either part grants one vector.
        """
        if not vectors or self.spent:
            return Budget(0, 0)
        solves = None if self._solves is None else min(vectors, max(1, self._solves // 2))
        pairs = None if self._pairs is None else max(1, self._pairs // 2)
        self._solves = None if self._solves is None or solves is None else max(1, self._solves - solves)
        self._pairs = None if self._pairs is None or pairs is None else max(1, self._pairs - pairs)
        return Budget(solves, pairs)

    def take_back(self, part: "Budget") -> None:
        """Have a part that was set aside."""
        self._solves = None if self._solves is None or part._solves is None else max(0, self._solves) + part._solves
        self._pairs = None if self._pairs is None or part._pairs is None else max(0, self._pairs) + part._pairs

    def grant_states(self, wanted: int) -> int:
        """Take as many of the wanted states as the budget allows; return how many."""
        if self._states is None:
            return wanted
        granted = min(wanted, self._states)
        self._states -= granted
        return granted

    def grant_gone(self, wanted: int) -> int:
        """Take as many of the wanted removals as the budget allows; return how many."""
        if self._gone is None:
            return wanted
        granted = min(wanted, self._gone)
        self._gone -= granted
        return granted

    def give_back(self, states: int) -> None:
        """Have states that were granted and not taken."""
        if self._states is not None:
            self._states += states
