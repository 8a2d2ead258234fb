"""Whether something moves fast enough. Pure."""

__all__ = ["MinimumRate"]


class MinimumRate:
    """Judges a counter that grows: it must grow by ``rate × window_s`` within each ``window_s``.

    Args:
        rate: of the counter, a second.
        window_s: for how long it may be slower.
    """

    __slots__ = ("_begun", "_from", "_least", "_window_s")

    def __init__(self, rate: float, window_s: float) -> None:
        self._least = rate * window_s
        self._window_s = window_s
        self._begun: float | None = None
        self._from = 0

    def rest(self) -> None:
        """Nothing need move now; the next look begins anew."""
        self._begun = None

    def too_slow(self, now: float, moved: int) -> bool:
        """Look at the counter at a time in seconds: has it grown too little for a whole window?"""
        if self._begun is None or moved - self._from >= self._least:
            self._begun, self._from = now, moved
            return False
        return now - self._begun >= self._window_s
