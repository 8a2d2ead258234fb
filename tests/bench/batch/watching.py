"""What processes take while they work: CPU time and memory of one and all below it."""

import threading
from types import TracebackType
from typing import Final, Self

import psutil

__all__ = ["Watch"]

_SAMPLE_S: Final = 0.25


class Watch:
    """CPU time and memory of a process and of all below it, while the block runs.

    ``cpu_s`` in all. Memory is the proportional set size, so that pages that processes share count once:
    ``peak_bytes`` of all together, ``peaks`` of each program by itself ("java", "python"), ``before_bytes`` at the
    beginning. ``swapped`` says whether the machine swapped meanwhile.
    """

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._cpu: dict[int, float] = {}
        self.cpu_s = 0.0
        self.before_bytes = self.peak_bytes = 0
        self.peaks: dict[str, int] = {}
        self.swapped = False

    def __enter__(self) -> Self:
        self._sample()
        self.before_bytes = self.peak_bytes
        self._began = self._total_cpu()
        self._swap = _swapped()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self.cpu_s = self._total_cpu() - self._began
        self.swapped = _swapped() > self._swap

    def _look(self) -> None:
        while not self._over.wait(_SAMPLE_S):
            self._sample()
            self._total_cpu()

    def _sample(self) -> None:
        by_name: dict[str, int] = {}
        for each in self._all():
            try:
                name = each.name()
                by_name[name] = by_name.get(name, 0) + each.memory_full_info().pss
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        self.peak_bytes = max(self.peak_bytes, sum(by_name.values()))
        for name, size in by_name.items():
            self.peaks[name] = max(self.peaks.get(name, 0), size)

    def _all(self) -> list[psutil.Process]:
        try:
            return [self._process, *self._process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def _total_cpu(self) -> float:
        """Of those that have ended as well, as far as they were seen."""
        for each in self._all():
            try:
                times = each.cpu_times()
            except psutil.NoSuchProcess:
                continue
            self._cpu[each.pid] = times.user + times.system
        return sum(self._cpu.values())


def _swapped() -> int:
    return psutil.swap_memory().sout
