"""Time, as a parameter."""

from typing import Protocol

__all__ = ["Clock"]


class Clock(Protocol):
    """Tells the time and waits; any thread may call it."""

    def now_ms(self) -> int:
        """Milliseconds since 1970, UTC; may step when the machine's clock is set."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never runs backwards, for intervals and deadlines."""

    def sleep(self, seconds: float) -> None:
        """Wait this long; not at all if not positive."""
