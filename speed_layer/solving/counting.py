"""Who is told what was solved, and by which solver."""

from typing import Protocol

__all__ = ["Counting", "Tally"]


class Counting(Protocol):
    """Is told what was solved."""

    def solved(self, solver: str, count: int) -> None:
        """So many vectors came from this solver: `rls`, `cg` or `dense`."""
        ...

    def looked_up(self, hits: int, misses: int) -> None:
        """So many users to be solved by `rls` had a system that was kept, and so many had none."""
        ...


class Tally:
    """Counts in plain numbers."""

    def __init__(self) -> None:
        self.solves: dict[str, int] = {}
        self.hits = self.misses = 0

    def solved(self, solver: str, count: int) -> None:
        """Add them."""
        self.solves[solver] = self.solves.get(solver, 0) + count

    def looked_up(self, hits: int, misses: int) -> None:
        """Add them."""
        self.hits += hits
        self.misses += misses
