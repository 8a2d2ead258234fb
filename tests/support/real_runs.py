"""`oryx batch --once` as everybody runs it, Spark and all, killed with -9 in the midst of a step."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from batch_layer.run.steps import Step

__all__ = ["Kill", "RealRuns"]

_PATIENCE_S = 280.0
_ORYX = (sys.executable, "-m", "oryx_py.cli", "batch", "--once")


@dataclass(frozen=True, slots=True)
class Kill:
    """When and what: within a step, after this share of the time that it took once; Python alone, or Spark with it.

    The first step begins when the run has the lock, which in HDFS is a minute after the one before was killed.
    """

    step: Step
    share: float
    with_spark: bool

    def __str__(self) -> str:
        return f"{self.step.value} at {self.share:.2f}{', with Spark' * self.with_spark}"


class RealRuns:
    """Starts runs by these settings, each a process in a group of its own; nobody survives `close`.

    Args:
        settings: as ``ORYX__GROUP__KEY: value``.
        command: what a run is.
    """

    def __init__(self, settings: Mapping[str, str], command: Sequence[str] = _ORYX) -> None:
        self._command = command
        log = {"ORYX__LOG__LEVEL": "debug", "ORYX__LOG__FORMAT": "json", "PYTHONUNBUFFERED": "1"}
        self._environment = {**os.environ, **settings, **log}
        self._groups: list[int] = []

    def whole(self) -> dict[Step, float]:
        """Do a run to its end; returns how many seconds each step took."""
        seconds, last = {}, time.monotonic()
        with self._started() as process:
            for step in _steps(process):
                now = time.monotonic()
                if step is not None:
                    seconds[step] = now - last
                last = now
            assert process.wait(_PATIENCE_S) == 0, "a run that nobody killed has failed"
        return seconds

    def killed(self, kill: Kill, seconds: Mapping[Step, float]) -> bool:
        """Kill a run so; returns False where it was over already. What is left of Spark may still be at work then.

        Args:
            kill: when.
            seconds: how long steps take, more or less.
        """
        before = [None, *Step][list(Step).index(kill.step)]
        with self._started() as process:
            reached = any(step is before for step in _steps(process))
            assert reached, "a run has failed before it was killed"
            time.sleep(kill.share * seconds[kill.step])
            if process.poll() is not None:
                assert process.returncode == 0
                return False
            if kill.with_spark:
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
            assert process.wait(_PATIENCE_S) == -signal.SIGKILL
        return True

    def close(self) -> None:
        """End what is left."""
        for group in self._groups:
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)

    @contextmanager
    def _started(self) -> Iterator["subprocess.Popen[str]"]:
        process = subprocess.Popen(
            self._command,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._groups.append(process.pid)
        try:
            yield process
        finally:
            assert process.stdout is not None
            process.stdout.close()  # what is left of Spark has it as well, so that it would never end


def _steps(process: "subprocess.Popen[str]") -> Iterator[Step | None]:
    """None when a run says that it has the lock, then the steps that are done, as it says so."""
    assert process.stdout is not None
    for line in process.stdout:
        with suppress(ValueError):
            told = json.loads(line)
            event = told.get("event") if isinstance(told, dict) else None
            if event == "lock_taken":
                yield None
            elif event == "step_done":
                yield Step(told["step"])
