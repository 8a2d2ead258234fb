"""What waits to be solved again, the longest waiting first."""

from collections.abc import Iterable, Iterator

__all__ = ["StaleQueue"]


class StaleQueue:
    """Handles, none twice, in the order in which they came; owned by one fold.

    Who is put off at each step need not be waited for: `owe` marks those who wait now, and these come to their turn
    however many come after them.

    Args:
        handles: who waits to begin with.
    """

    def __init__(self, handles: Iterable[int] = ()) -> None:
        self._waiting = dict.fromkeys(handles)
        self._owed: set[int] = set()

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[int]:
        return iter(self._waiting)

    def add(self, handles: Iterable[int]) -> None:
        """Let handles wait; who does already keeps the place."""
        self._waiting |= dict.fromkeys(handles)

    def discard(self, handles: Iterable[int]) -> None:
        """Let handles wait no more."""
        if self._waiting:
            for handle in handles:
                self._waiting.pop(handle, None)
                self._owed.discard(handle)

    def keep(self, handles: set[int]) -> None:
        """Let none but these wait."""
        self._waiting = {handle: None for handle in self._waiting if handle in handles}
        self._owed &= handles

    def owe(self) -> None:
        """Mark those who wait now."""
        self._owed = set(self._waiting)

    @property
    def owed(self) -> int:
        """How many of those marked still wait."""
        return len(self._owed)
