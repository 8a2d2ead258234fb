"""Trainers as processes: asked one at a time, with the CPU time and the memory of all that they start."""

import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from tests.bench.batch.trainers import Parameters
from tests.bench.batch.watching import Watch

__all__ = ["Fit", "Running"]

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
    algebra: str = field(init=False)
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
        opened = self._answer()
        self.session_s, self.algebra = opened["session_s"], opened["algebra"]
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
        with Watch(psutil.Process(self._process.pid)) as watch:
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
