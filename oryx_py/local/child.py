"""One program of the supervisor: its process, its process group, its output."""

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from oryx_py.local.leash import leashed

__all__ = ["Child", "RunningChild", "Show", "in_words"]

_LINE_BYTES = 65_536
_KILL_S = 10.0
_PUMP_S = 2.0

Show = Callable[[str, str], None]
"""Called with a child's name and a line about or from it, by several threads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """A program to run: ``environ`` is added to this process's own.

    ``ready`` is asked again and again until it says yes, and only then does the next child start; it should answer
    quickly. Without it a child is ready as soon as it runs.
    """

    name: str
    command: Sequence[str]
    environ: Mapping[str, str] = field(default_factory=dict)
    ready: Callable[[], bool] | None = None
    ready_timeout_s: float = 60.0


class RunningChild:
    """A child's process in a group of its own, so that a terminal's Ctrl-C reaches the supervisor alone.

    What the program leaves behind in its group ends with it. On Linux the program also ends with the thread that
    started it.
    """

    def __init__(self, child: Child, show: Show) -> None:
        self._process = subprocess.Popen(
            leashed(child.command),
            env={**os.environ, "PYTHONUNBUFFERED": "1", **child.environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
        self._pump = threading.Thread(target=self._pass_on, args=(child.name, show), name=child.name, daemon=True)
        self._pump.start()

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def wait(self, timeout_s: float = 0.0) -> int | None:
        """Wait for the end; returns the exit code (negative: the signal), None if it still runs."""
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None
        self._signal_group(signal.SIGKILL)  # the number stays this group's as long as anyone is left in it
        self._pump.join(_PUMP_S)
        return code

    def stop(self, grace_s: float) -> bool:
        """Ask it to end, and end it after ``grace_s``; returns whether asking was enough."""
        self._process.terminate()  # not the group: the program ends what it started in its own order
        if self.wait(grace_s) is not None:
            return True
        self._signal_group(signal.SIGKILL)
        self.wait(_KILL_S)
        return False

    def _signal_group(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):  # nobody is left; macOS: only the dead are
            os.killpg(self._process.pid, number)

    def _pass_on(self, name: str, show: Show) -> None:
        output = self._process.stdout
        assert output is not None
        with output, suppress(ValueError):  # written to a stream that is closed: the supervisor is at its end
            while line := output.readline(_LINE_BYTES):
                show(name, line.decode(errors="replace").rstrip("\r\n"))


def in_words(exit_code: int) -> str:
    """Say how a process ended."""
    if exit_code >= 0:
        return f"ended with exit code {exit_code}"
    try:
        return f"was ended by {signal.Signals(-exit_code).name}"
    except ValueError:
        return f"was ended by signal {-exit_code}"
