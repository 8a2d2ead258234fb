"""The machine's clock."""

import time

__all__ = ["SystemClock"]


class SystemClock:
    """Tells the machine's time; see the port ``Clock``."""

    def now_ms(self) -> int:
        """Milliseconds since 1970, UTC."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never runs backwards."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait this long; not at all if not positive."""
        if seconds > 0:
            time.sleep(seconds)
