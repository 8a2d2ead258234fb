"""How much of the machine's cores processes take."""

import os
import time
from collections.abc import Mapping

import psutil

__all__ = ["CoreTime"]


class CoreTime:
    """Counts from when it is made.

    Args:
        processes: by name, their IDs; the caller's own is ``self``.
    """

    def __init__(self, processes: Mapping[str, int]) -> None:
        self._processes = {name: psutil.Process(pid) for name, pid in {**processes, "self": os.getpid()}.items()}
        self._at, self._before = time.monotonic(), self._taken()
        self._busy, self._stolen = _busy_s()

    def cores(self) -> dict[str, float]:
        """Return by process how many cores it has taken on average.

        Under ``others`` what all others have, under ``stolen`` what the machine's host gave to other machines.
        """
        seconds = time.monotonic() - self._at
        taken = {name: (now - self._before[name]) / seconds for name, now in self._taken().items()}
        busy, stolen = _busy_s()
        others = (busy - self._busy) / seconds - sum(taken.values())
        return {**taken, "others": max(0.0, others), "stolen": (stolen - self._stolen) / seconds}

    def _taken(self) -> dict[str, float]:
        times = {name: process.cpu_times() for name, process in self._processes.items()}
        return {name: each.user + each.system for name, each in times.items()}


def _busy_s() -> tuple[float, float]:
    """Seconds that the machine's cores were at work, and that they were taken away by its host."""
    times = psutil.cpu_times()
    busy = sum(times) - times.idle - times.iowait - times.guest - times.guest_nice - times.steal
    return float(busy), float(times.steal)
