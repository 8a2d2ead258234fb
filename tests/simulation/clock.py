"""Time that passes when the world says so."""

__all__ = ["SimClock"]


class SimClock:
    """The machine's and the broker's clock at once."""

    START_MS = 1_800_000_000_000

    def __init__(self) -> None:
        self._ms = 0.0

    def now_ms(self) -> int:
        """Milliseconds since 1970."""
        return self.START_MS + int(self._ms)

    def monotonic(self) -> float:
        """Seconds since the run began."""
        return self._ms / 1000

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self._ms += max(0.0, seconds) * 1000
