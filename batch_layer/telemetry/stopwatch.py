"""Seconds and bytes by step."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Stopwatch"]


class Stopwatch:
    """Collects what each step took and wrote; a step that comes again adds to itself."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.bytes: dict[str, int] = {}

    @contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        """Time a step."""
        began = time.perf_counter()
        yield
        self.seconds[step] = self.seconds.get(step, 0.0) + time.perf_counter() - began

    def wrote(self, step: str, count: int) -> None:
        """Add to what a step wrote."""
        self.bytes[step] = self.bytes.get(step, 0) + count
