"""Trainers as processes: asked one at a time, with the CPU time and the memory of all that they start."""

import json
import shutil
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from tests.bench.batch.trainers import Parameters

__all__ = ["Fit", "Running"]

_SAMPLE_S = 0.2
ROOT = Path(__file__).parents[3]


@dataclass(frozen=True, slots=True)
class Fit:
    """One training: seconds by step ("total" is the one to compare), CPU seconds, and the peak of memory in bytes.

    Memory is the proportional set size of the process and all below it, so that shared pages count once; ``before`` is
    what it was when training began.
    """

    seconds: dict[str, float]
    cpu_s: float
    peak_bytes: int
    before_bytes: int
    factors: Path


@dataclass
class Running:
    """A trainer's process; ``memory`` is that of Spark's driver, where it has one."""

    name: str
    memory: str
    folder: Path = field(init=False)
    session_s: float = field(init=False)
    _process: "subprocess.Popen[str]" = field(init=False)

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix=f"oryx-batch-{self.name}-"))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.batch.child", self.name, str(self.folder), self.memory],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            text=True,
        )
        self.session_s = self._answer()["session_s"]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            for each in [*psutil.Process(self._process.pid).children(recursive=True), self._process]:
                each.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def prepare(self, sample: Path) -> float:
        """Have it prepare a saved sample; returns the seconds."""
        return float(self._ask({"do": "prepare", "sample": str(sample)})["seconds"])

    def fit(self, features: int, parameters: Parameters) -> Fit:
        """Have it train."""
        into = self.folder / "factors"
        shutil.rmtree(into, ignore_errors=True)
        into.mkdir()
        told = {"do": "fit", "features": features, "parameters": dict(parameters), "into": str(into)}
        with _Watch(psutil.Process(self._process.pid)) as watch:
            seconds = self._ask(told)
        return Fit(seconds, watch.cpu_s, watch.peak_bytes, watch.before_bytes, into)

    def _ask(self, told: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(told) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} has ended with {self._process.wait()}; what it said is above")
        found: dict[str, Any] = json.loads(line)
        return found


class _Watch:
    """CPU time and memory of a process and of all below it, while the block runs."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.cpu_s = 0.0
        self.before_bytes = self.peak_bytes = 0

    def __enter__(self) -> Self:
        self.before_bytes = self.peak_bytes = self._bytes()
        self._began = self._cpu()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self.cpu_s = self._cpu() - self._began

    def _look(self) -> None:
        while not self._over.wait(_SAMPLE_S):
            self.peak_bytes = max(self.peak_bytes, self._bytes())

    def _all(self) -> list[psutil.Process]:
        return [self._process, *self._process.children(recursive=True)]

    def _cpu(self) -> float:
        total = 0.0
        for each in self._all():
            try:
                total += sum(each.cpu_times()[:4])  # its own, and of those below it that have ended
            except psutil.NoSuchProcess:
                continue
        return total

    def _bytes(self) -> int:
        total = 0
        for each in self._all():
            try:
                total += each.memory_full_info().pss
            except psutil.NoSuchProcess:
                continue
        return total
