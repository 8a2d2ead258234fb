"""How long somebody has said nothing, as far as one can say who looks at a place that does not always answer."""

from collections.abc import Hashable, Iterator
from contextlib import contextmanager

from oryx_py.errors import StoreUnavailable

__all__ = ["Silence"]


class Silence:
    """How long a holder has not renewed its lock, as far as the one who waits can say.

    ``takes``: whether the place has taken a file of ours since.

    Args:
        most_s: what counts at most from one look to the next: who waits may have slept, or waited for an answer.
    """

    def __init__(self, most_s: float) -> None:
        self._most_s = most_s
        self._seen: Hashable = None
        self._seconds = 0.0
        self._looked_at: float | None = None
        self.takes = False

    def after(self, seen: Hashable, now: float) -> float:
        """Return the seconds after one more look, which the place answered just now."""
        if seen != self._seen:
            self._seen, self._seconds, self.takes = seen, 0.0, False
        elif self._looked_at is not None:
            self._seconds += min(now - self._looked_at, self._most_s)
        self._looked_at = now
        return self._seconds

    @contextmanager
    def broken_off(self) -> Iterator[None]:
        """Where the place does not answer to a block, what has passed since the last look does not count."""
        try:
            yield
        except StoreUnavailable:
            self._looked_at = None
            raise

    @contextmanager
    def begun_anew(self) -> Iterator[None]:
        """Where the place does not take what a block gives it, nothing counts."""
        try:
            yield
        except StoreUnavailable:
            self._seconds, self._looked_at, self.takes = 0.0, None, False
            raise
